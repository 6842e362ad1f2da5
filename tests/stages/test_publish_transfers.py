"""A card shows the transfers of its own run and split, wherever they were tested."""

from pathlib import Path

import pytest

from nap2.evaluation.pages.card import took_part
from nap2.stages.command.compose import compose_config
from nap2.stages.publish_stage import transfers


def test_only_tests_of_the_same_run_and_split_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in (
        "other/functional-5fold/results/from-digits-functional-5fold",
        "another/functional/results/from-digits-functional-5fold",
        "other/functional-5fold/results/from-digits-functional",
        "other/functional-5fold/results/from-else-functional-5fold",
    ):
        folder = tmp_path / "runs" / place
        folder.mkdir(parents=True)
        (folder / "rows.jsonl").touch()
    (tmp_path / "runs/empty/functional/results/from-digits-functional-5fold").mkdir(parents=True)
    config = compose_config(["stage=publish", "experiment=digits", "split.folds=5"])[1]
    found = [folder.parents[2].name for folder in transfers(config)]
    assert found == ["another", "other"]


def test_candidates_that_came_after_the_split_did_not_take_part() -> None:
    assert took_part({"fitted_on": ["a", "b", "c"], "num_test": 2, "num_val": 1}) == 5
    assert took_part({"fitted_on": ["a", "b", "c"], "num_test": 0, "num_val": 1}) == 3
