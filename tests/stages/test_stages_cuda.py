"""Every stage by `trainer=gpu`: in one process on the stand-in too, what starts processes of its own on a GPU only."""

import pytest
from killed_campaign import content
from test_pipeline import TINY

import train
from nap2.evaluation.records.rows import read_rows
from nap2.snapshots.store import SnapshotStore

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("gpu")
def test_the_whole_pipeline_runs_on_a_gpu(here):
    assert train.main(["stage=pipeline", *TINY, "trainer=gpu"]) == 0
    rows = read_rows(here / "runs/digits/functional/results/rows.jsonl")
    assert "nap2" in {row.method for row in rows}
    assert train.main(["stage=rank", *TINY, "trainer=gpu", "rank.query_batches=5"]) == 0


@pytest.mark.cuda
def test_processes_that_share_a_gpu_store_what_one_of_them_stores(here):
    for workers in (1, 3):
        store = f"paths.store={here / str(workers)}"
        assert train.main(["stage=snapshot", *TINY, "trainer=gpu", f"workers={workers}", store]) == 0
    ids = SnapshotStore.open(here / "1").complete()
    assert SnapshotStore.open(here / "3").complete() == ids
    assert all(content(here / "1", id) == content(here / "3", id) for id in ids)


@pytest.mark.usefixtures("gpu")
def test_bf16_candidates_train_on_a_gpu(here):
    assert train.main(["stage=snapshot", *TINY, "trainer=gpu", "recipe.precision=bf16"]) == 0


@pytest.mark.cuda
def test_proxies_are_scored_on_a_gpu():
    assert train.main(["stage=snapshot", *TINY, "trainer=gpu"]) == 0
    names = "proxies.names=[snip,grad_norm,synflow]"
    assert train.main(["stage=proxies", *TINY, "trainer=gpu", names, "proxies.num_candidates=2"]) == 0
