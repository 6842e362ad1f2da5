"""Digits candidates on a real Slurm, interrupted on the way: equal to an undisturbed run to the last bit."""

import subprocess
import sys
from pathlib import Path

import pytest
from cluster_calls import call, ids, logs, state, submit, wait_for_end, wait_until

from nap2.snapshots.store import SnapshotStore

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]

SMALL = ("experiment=digits", "snapshot.to_the_end=false", "snapshot.second_seed=0")
VALUES = (*SMALL, "snapshot.num_candidates=4", "snapshot.num_snapshots=6")
CHAIN = ("--tasks", "2", "--at-most", "2", "--cpus", "1", "--mem", "2G", "--time", "60")


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_candidates_equal_undisturbed_ones(checkout, workers):
    Path("train.py").unlink()
    Path("train.py").symlink_to(ROOT / "train.py")
    values = (*VALUES, f"workers={workers}")
    jobs = ids(submit(*CHAIN, *values, "--stages", "snapshot", "index"))
    staging = Path("stores/digits/.staging")
    wait_until(lambda: list(staging.glob("*/state.pt")))
    call("scancel", "-s", "USR1", "-b", f"{jobs['snapshot']}_0")
    call("scancel", "-s", "USR1", "-b", f"{jobs['snapshot']}_1")
    wait_for_end(",".join(jobs.values()))
    assert state(f"{jobs['snapshot']}_0")[0] == state(f"{jobs['snapshot']}_1")[0] == "COMPLETED", logs()
    assert "goes back into the queue (restart 1)" in logs()
    assert state(jobs["index"])[0] == "COMPLETED", logs()
    subprocess.run(
        [sys.executable, "train.py", "stage=snapshot", *VALUES, "workers=1", "paths.store=alone"], check=True
    )
    assert numbers(SnapshotStore.open("stores/digits")) == numbers(SnapshotStore.open("alone"))


def numbers(store):
    """All that is stored but the times."""
    stored = [store.read(id) for id in store.complete()]
    return {
        one.candidate.id: (one.trajectory.values.numpy().tobytes(), one.curve.train_loss, one.curve.snapshot_accuracy)
        for one in stored
    }


def test_each_setting_of_a_sweep_is_a_job(checkout):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the extra 'slurm' is not installed")
    small = (*SMALL, "snapshot.num_candidates=1", "workers=1")
    sweep = ("snapshot.sample_seed=1,2", "paths.store=stores/${snapshot.sample_seed}")
    resources = ("launcher=slurm", "hydra.launcher.mem_gb=2", "hydra.launcher.cpus_per_task=1")
    call(sys.executable, ROOT / "train.py", "--multirun", "stage=snapshot", *small, *sweep, *resources)
    assert [len(SnapshotStore.open(f"stores/{seed}").complete()) for seed in (1, 2)] == [1, 1]
    assert len(list(Path("runs/sweeps/.submitit").glob("*_result.pkl"))) or list(
        Path("runs/sweeps/.submitit").iterdir()
    )
