"""`evaluate.source` names one split of a run, or a checkpoint; whatever could mean two things is refused by name."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from nap2.config import Config
from nap2.errors import ConfigError
from nap2.stages.command.compose import compose_config
from nap2.stages.pool.run_folder import run_name
from nap2.stages.pool.sources import record_config, source_of


def config_of(folder: Path, name: str, *overrides: str) -> Config:
    paths = (f"paths.runs={folder}/runs/{name}", f"paths.checkpoints={folder}/released")
    return compose_config(["stage=predictor", "experiment=digits", f"name={name}", *paths, *overrides])[1]


@pytest.fixture
def target(tmp_path: Path) -> Config:
    return replace(config_of(tmp_path, "two"), stage="evaluate")


def checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "spec.json").write_text(json.dumps({}))
    return folder


def test_the_only_split_of_a_run_is_found_with_its_own_protocol(tmp_path: Path, target: Config) -> None:
    own = config_of(tmp_path, "one", "split.trials=7", "split.folds=3", "store=stores/elsewhere")
    record_config(own)
    found = source_of(target, "one")
    assert found == replace(own, stage="evaluate")
    for name in ("one/functional-3fold", f"{tmp_path}/runs/one", f"{tmp_path}/runs/one/functional-3fold"):
        assert source_of(target, name) == found


def test_a_later_call_for_another_split_changes_nothing_but_asks_for_the_split(tmp_path: Path, target: Config) -> None:
    folds = config_of(tmp_path, "one", "split.folds=3")
    record_config(folds)
    record_config(config_of(tmp_path, "one", "split.test_size=0", "store=stores/other"))
    with pytest.raises(
        ConfigError, match=r"could mean .*functional-3fold or .*functional-whole; give the path"
    ) as error:
        source_of(target, "one")
    assert "\n" not in str(error.value)
    assert source_of(target, "one/functional-3fold") == replace(folds, stage="evaluate")


def test_a_run_that_was_copied_is_itself_and_not_what_lies_where_it_was(tmp_path: Path, target: Config) -> None:
    record_config(config_of(tmp_path, "one"))
    shutil.copytree(tmp_path / "runs/one", tmp_path / "runs/copy")
    found = source_of(target, "copy")
    assert isinstance(found, Config)
    assert (found.name, found.paths.runs) == ("one", f"{tmp_path}/runs/copy")
    assert run_name(found) == "copy/functional"  # tested on one target, both keep results of their own


def test_predictors_of_another_encoder_are_not_taken(tmp_path: Path, target: Config) -> None:
    record_config(config_of(tmp_path, "one", "model.encoder=pca"))
    with pytest.raises(ConfigError, match="no run with predictors on a cae encoder"):
        source_of(target, "one")
    found = source_of(replace(target, model={**target.model, "encoder": "pca"}), "one")
    assert isinstance(found, Config)
    assert found.model["encoder"] == "pca"


def test_a_checkpoint_is_found_by_its_name_and_by_its_path(
    tmp_path: Path, target: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = checkpoint(tmp_path / "released/real")
    assert source_of(target, "real") == released
    assert source_of(target, str(released)) == released
    monkeypatch.setenv("NAP2_CHECKPOINTS", str(tmp_path / "elsewhere"))
    copied = checkpoint(tmp_path / "elsewhere/copied")
    assert source_of(target, "copied") == copied


def test_a_run_and_a_checkpoint_of_one_name_are_told_apart_by_their_paths(tmp_path: Path, target: Config) -> None:
    record_config(config_of(tmp_path, "one"))
    released = checkpoint(tmp_path / "released/one")
    with pytest.raises(ConfigError, match=r"could mean .*runs/one/functional or .*released/one; give the path"):
        source_of(target, "one")
    assert isinstance(source_of(target, "one/functional"), Config)
    assert source_of(target, str(released)) == released


def test_what_is_not_there_or_no_config_is_refused_in_one_line(tmp_path: Path, target: Config) -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.source=three: no run .*correct the name") as error:
        source_of(target, "three")
    assert "\n" not in str(error.value)
    record_config(config_of(tmp_path, "one"))
    (tmp_path / "runs/one/functional/predictors.yaml").write_text("nonsense: 1\n")
    with pytest.raises(ConfigError, match="is not a config of this version"):
        source_of(target, "one")
