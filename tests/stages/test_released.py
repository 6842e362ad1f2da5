"""Candidates that are released: left out of training, and never out of the stages behind it without a word."""

from dataclasses import replace
from pathlib import Path

import pytest
from fakes_campaign import curve, trajectory

import train
from nap2.snapshots.released import Limits, add_part
from nap2.snapshots.store import SnapshotStore
from nap2.stages.campaign.released import refuse_unread
from nap2.stages.command.compose import compose_config
from nap2.stages.pool.candidates import candidates_of, setting_of
from slurm import submit

CALL = ["experiment=digits", "snapshot.num_candidates=2", "snapshot.second_seed=0"]
SET = "checkpoints/snapshots/digits"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which one of the two candidates is released, and there is no store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAP2_CHECKPOINTS", raising=False)
    _, config = compose_config(["stage=snapshot", *CALL])
    source = SnapshotStore.create("elsewhere", setting_of(config))
    released = candidates_of(config)[0]
    with source.claim(released, 8, to_the_end=True) as writer:
        writer.finish(replace(trajectory(released, 8), every=5), curve(released, 8))
    add_part(SET, source, 7, Limits())


def test_a_pipeline_that_would_lose_them_says_so_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["stage=pipeline", *CALL]) == 2
    said = capsys.readouterr().err
    assert f"1 of 2 candidates are in the released set {SET}: they would not be trained again, and the stages" in said
    assert f"add also=[{SET}], or snapshot.skip_released=false" in said
    assert not Path("stores").exists()


def test_so_does_a_submitted_chain(capsys: pytest.CaptureFixture[str]) -> None:
    assert submit.main([*CALL, "--dry-run"]) == 2
    assert f"add also=[{SET}]" in capsys.readouterr().err
    assert submit.main([*CALL, "--dry-run", "--stages", "snapshot"]) == 0


@pytest.mark.parametrize(
    "change",
    [f"also=[{SET}]", "store=elsewhere", "snapshot.skip_released=false", "snapshot.every=6"],
)
def test_nothing_is_refused_where_nothing_would_be_lost(change: str) -> None:
    refuse_unread(compose_config(["stage=pipeline", *CALL, change])[1])


def test_a_store_beside_a_set_that_holds_everything_can_be_read_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    call = ["experiment=digits", "snapshot.num_candidates=1", "snapshot.second_seed=0", f"also=[{SET}]"]
    assert train.main(["stage=snapshot", *call, "snapshot.plan=true"]) == 0
    assert not Path("stores").exists()
    assert train.main(["stage=snapshot", *call]) == 0
    assert train.main(["stage=index", *call]) == 0
    assert "1 complete" in capsys.readouterr().out
