"""Candidates with fewer snapshots (`split.shorter`): they learn, and are never tested."""

from pathlib import Path

import numpy as np
import pytest
from select_rows import select
from test_pipeline import TINY

import train
from nap2.evaluation.records.prediction_file import read_predictions
from nap2.evaluation.records.rows import read_rows
from nap2.evaluation.splitting.splits import Split
from nap2.inference import Predictor
from nap2.snapshots.index import refresh_index
from nap2.snapshots.store import SnapshotStore

COUNT, WHOLE = 16, 12
FOLDS = ["split.folds=2", "split.train_sizes=[0]", "model.encoder=pca", "split.trials=1"]
FUSED = ["model=nap2_plus", "model.fusion.members=1", "model.fusion.inner_folds=2"]
STAGES = ("cae", "embed", "predictor", "predictor predictor.reading=static", "evaluate")


def call(stage: str, *overrides: str) -> int:
    """One stage of the tiny pipeline; what is asked last counts."""
    return train.main([*f"stage={stage}".split(), *TINY, *overrides])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in which some candidates were trained on."""
    root = tmp_path_factory.mktemp("shorter")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert call("snapshot", f"snapshot.num_candidates={COUNT}", "snapshot.num_snapshots=1") == 0
        assert call("snapshot", f"snapshot.num_candidates={WHOLE}") == 0
    return root


@pytest.fixture
def lengths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    monkeypatch.chdir(folder)
    rows = refresh_index(SnapshotStore.open(folder / "stores/digits")).rows
    return {row.arch_str: row.snapshots for row in rows}


@pytest.mark.slow
def test_they_learn_and_are_never_tested(lengths: dict[str, int], capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(lengths.values()) == [1] * (COUNT - WHOLE) + [2] * WHOLE
    for stage in STAGES:
        assert call(stage, *FOLDS, *FUSED, "split.shorter=true") == 0
    root = Path("runs/digits/functional-2fold-shorter")
    rows = select(read_rows(root / "results/rows.jsonl"), metric="kendall_tau")
    rows = [row for row in rows if row.num_test]  # what could score nobody has none
    assert {(row.num_test, row.protocol) for row in rows} == {(WHOLE, "2-fold, shorter learn too")}
    reads = [row for row in rows if not row.method.startswith(("nap2_plus", "lc"))]  # these want more of whole length
    assert {row.num_failed for row in reads} == {0}
    pools = [row.cae_pool.rpartition("/")[2] for row in rows if row.cae_pool]
    for path in sorted(root.glob("fold-*/splits/trial-0.json")):
        split = Split.load(path)
        assert {lengths[arch] for arch in (*split.test, *split.val)} == {2}
        assert {lengths[arch] for arch in split.train} == {1, 2}
        assert f"{len(split.pool)}×≤2" in pools
    names = {row.method for row in rows}
    assert {"nap2 (pca encoder)", "nap2 (pca encoder, static)", "lcsvr", "nap2_plus (pca encoder)"} <= names
    said = (root / "results/table.md").read_text()
    assert "functional 2-fold split, shorter learn too" in said
    assert "left out" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_predictor_published_after_that_says_how_many_were_shorter(lengths: dict[str, int]) -> None:
    shipped = [*FOLDS[1:], "split.test_size=0", "split.shorter=true"]
    for stage in ("cae", "embed", "predictor"):
        assert call(stage, *shipped) == 0
    assert (
        call("publish", *FOLDS, *FUSED, "split.shorter=true", "publish.name=mixed", "paths.checkpoints=released") == 0
    )
    spec = Predictor.from_pretrained(Path("released/mixed")).spec
    assert spec["num_shorter"] == sum(lengths[arch] < 2 for arch in spec["fitted_on"]) == COUNT - WHOLE
    card = Path("released/mixed/card.md").read_text()
    assert f"took part: {COUNT} (with snapshots, when this was written: {COUNT})" in card
    assert "- snapshots: 2, one every 5 mini-batches; 4 of the candidates have fewer" in card
    assert f"all {WHOLE} labelled candidates with all 2 snapshots, each once per repeat" in card


@pytest.mark.slow
def test_where_all_are_whole_nothing_changes(lengths: dict[str, int]) -> None:
    asked = [*FOLDS, f"snapshot.num_snapshots={min(lengths.values())}", "name=whole", "store=stores/digits"]
    found = []
    for more in ([], ["split.shorter=true"]):
        for stage in ("cae", "embed", "predictor", "evaluate"):
            assert call(stage, *asked, *more) == 0
        (path,) = Path(f"runs/whole/functional-2fold{'-shorter' * bool(more)}/results").glob("predictions-*.csv")
        found.append(read_predictions(path))
    assert found[0].arch_strs == found[1].arch_strs
    assert found[0].scores.keys() == found[1].scores.keys()
    for key, values in found[0].scores.items():
        np.testing.assert_array_equal(values, found[1].scores[key])
