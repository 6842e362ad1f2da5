"""Encoders that differ in what they are, read or learn from are never taken for each other."""

import pytest

from nap2.config import Config
from nap2.stages.command.compose import compose_config
from nap2.stages.pool.encoder_name import encoder_name, encoder_words
from nap2.stages.pool.run_folder import RunFolder


def config_of(*asked: str) -> Config:
    return compose_config(["stage=cae", "experiment=digits", *asked])[1]


@pytest.mark.parametrize(
    ("asked", "name", "words"),
    [
        ([], "cae", ""),
        (["model.cae.size=8"], "cae", ""),
        (["model.pca.size=8"], "cae", ""),
        (["model.encoder=pca"], "pca", " (pca encoder)"),
        (["model.encoder=pca", "model.pca.size=8"], "pca8", " (pca8 encoder)"),
        (["model.encoder=random", "model.pca.size=8"], "random", " (random encoder)"),
        (
            ["model.encoder=pca", "model.pca.size=8", "model.features=norm", "model.unlabelled=true"],
            "pca8-norm-unlabelled",
            " (pca8 encoder, norm alone, unlabelled maps too)",
        ),
    ],
)
def test_folders_and_rows_name_what_differs_from_the_faithful_encoder(asked: list[str], name: str, words: str) -> None:
    config = config_of(*asked)
    assert (encoder_name(config), encoder_words(config), RunFolder.of(config).encoder) == (name, words, name)
