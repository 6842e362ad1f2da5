"""What stage=rank says of a predictor before it ranks."""

from pathlib import Path

import pytest

import train
from nap2.stages.command.compose import compose_config
from nap2.stages.rank_stage import remark_on_space


@pytest.mark.parametrize(
    ("spec", "remark"),
    [
        ({"setting": {"space": "nasbench201"}}, "fitted on nasbench201 cells: on nasbench101 its figures are ranks"),
        ({"setting": {"space": "nasbench101"}}, ""),
        ({}, ""),
    ],
)
def test_a_predictor_of_another_search_space_is_remarked_on(spec, remark) -> None:
    config = compose_config(["stage=rank", "experiment=digits", "space=nasbench101"])[1]
    found = remark_on_space(config, spec)
    assert remark in found
    assert bool(remark) == bool(found)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([], "No predictor at runs/digits/functional/checkpoint; run stage=predictor first, or name one"),
        (["split.folds=3"], "each fold has its own, that of all is fitted with split.folds=0 split.test_size=0; run"),
    ],
)
def test_without_a_predictor_it_says_which_to_fit(
    asked, message, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main(["stage=rank", "experiment=digits", *asked]) == 2
    assert message in capsys.readouterr().err
