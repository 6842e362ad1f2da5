"""Splits are drawn once: neither a store that grows nor a call that asks for more changes what is there."""

from pathlib import Path

import pytest

from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import _drawn, _saved

LABELS = {arch: 0.5 + n / 100 for n, arch in enumerate(SPACES["nasbench201"].arch_strings()[400:15000:1000])}
GROWN = {**LABELS, SPACES["nasbench201"].arch_strings()[77]: 0.9}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config_of(*asked: str) -> Config:
    common = ["stage=cae", "experiment=digits", "split.train_sizes=[0]", "split.val_size=2", "split.trials=2"]
    return compose_config([*common, *asked])[1]


@pytest.mark.parametrize("asked", [["split.folds=3"], ["split.folds=3", "split.redraw=true"], ["split.test_size=4"]])
def test_a_store_that_grew_leaves_the_splits_as_they_are(asked: list[str], tmp_path: Path) -> None:
    config = config_of(*asked)
    drawn = _drawn(config, LABELS, set(LABELS))
    before = {path: path.read_bytes() for path in tmp_path.rglob("trial-*.json")}
    assert _saved(config, GROWN, set(GROWN)) == drawn
    assert {path: path.read_bytes() for path in tmp_path.rglob("trial-*.json")} == before


def test_more_trials_of_redrawn_folds_are_refused_and_nothing_is_drawn_over(tmp_path: Path) -> None:
    redrawn = ("split.folds=3", "split.redraw=true")
    _drawn(config_of(*redrawn), LABELS, set(LABELS))
    before = {path: path.read_bytes() for path in tmp_path.rglob("trial-*.json")}
    with pytest.raises(EvaluationError, match=r"of fewer trials than split\.trials=3; .* set name= for a new run"):
        _saved(config_of(*redrawn, "split.trials=3"), GROWN, set(GROWN))
    assert {path: path.read_bytes() for path in tmp_path.rglob("trial-*.json")} == before


@pytest.mark.parametrize("asked", [["split.folds=3"], ["split.test_size=4"]])
def test_a_size_beyond_the_pool_is_refused_before_anything_is_drawn(asked: list[str], tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"split\.train_sizes=\[0, 12\]: the largest pool .* is \d; ask"):
        _drawn(config_of(*asked, "split.train_sizes=[0,12]"), LABELS, set(LABELS))
    assert not list(tmp_path.rglob("trial-*.json"))


def test_splits_that_two_calls_drew_at_once_of_a_growing_store_are_refused(tmp_path: Path) -> None:
    """One trial would learn from what another one's test candidates are."""
    config = config_of("split.test_size=4")
    _drawn(config, GROWN, set(GROWN))
    (path,) = tmp_path.rglob("trial-1.json")
    late = path.read_bytes()
    _drawn(config, LABELS, set(LABELS))
    path.write_bytes(late)
    with pytest.raises(EvaluationError, match=r"are of several draws \(two calls at once\?\); delete"):
        _saved(config, GROWN, set(GROWN))


def test_folds_whose_drawing_was_interrupted_are_drawn_again(tmp_path: Path) -> None:
    config = config_of("split.folds=3", "split.redraw=true")
    drawn = _drawn(config, LABELS, set(LABELS))
    first = next(path for path in tmp_path.rglob("trial-0.json") if path.parent.parent.name == "trial-0-fold-0")
    first.unlink()
    assert _saved(config, LABELS, set(LABELS)) == []
    assert _drawn(config, LABELS, set(LABELS)) == drawn


@pytest.mark.parametrize("asked", [["split.folds=3"], ["split.test_size=4"]])
def test_a_saved_split_that_tests_what_has_too_few_snapshots_is_refused(asked: list[str]) -> None:
    config = config_of("split.shorter=true", *asked)
    groups = _drawn(config, LABELS, set(LABELS))
    judge = groups[-1][1][0].test[0]
    with pytest.raises(
        EvaluationError, match=r"1 candidates of the saved split .* are not in .*, or have fewer than \d+ snapshots"
    ):
        _saved(config, LABELS, set(LABELS) - {judge})


def test_splits_in_which_shorter_candidates_learn_have_a_folder_of_their_own() -> None:
    folders = [RunFolder.of(config_of("split.folds=3", *more)).root.name for more in ([], ["split.shorter=true"])]
    assert folders == ["functional-3fold", "functional-3fold-shorter"]
