"""What a cluster does to an array by itself: time limits, preemption, dead nodes, throttling."""

import socket
from pathlib import Path

import pytest
from cluster_calls import call, logs, queued, return_to_service, state, submit_array, wait_for_end, wait_until
from fakes_campaign import STEPS, candidates, contents, make_store, make_train

from nap2.stages.campaign.worker import run_worker

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]
WHOLE_NODE = ("--exclusive", "--mem=50M")


def assert_complete(folder, count):
    """Every candidate is there once, and equal to one that nobody disturbed."""
    store, alone = make_store("store"), make_store(folder / "alone")
    run_worker(alone, candidates(count), STEPS, make_train())
    assert contents(store) == contents(alone), logs()
    assert len(list(store.shelf.iterdir())) == count


def wait_for_state(count):
    """Until some candidate's training has got anywhere."""
    wait_until(lambda: any((Path("store/.staging") / c.id / "state.pt").exists() for c in candidates(count)))


def test_a_task_that_meets_its_time_limit_returns_and_completes(checkout):
    """Three minutes, of which Slurm leaves 30 to 90 s before its signal; the work takes two minutes, or longer."""
    job = submit_array("0", 1, "fake.candidates=4", "fake.step_s=10", options=["--time=3"])
    wait_for_end(job)
    name, restarts = state(f"{job}_0")
    assert (name, restarts > 0) == ("COMPLETED", True), logs()
    assert f"Job {job}_0 goes back into the queue (restart 1)." in logs()
    assert_complete(checkout, 4)


def test_a_task_that_loses_its_gpu_returns_while_it_gets_on(checkout):
    """A candidate is completed in each of two runs; the third one completes none and records the culprit."""
    job = submit_array("0", 1, "fake.candidates=3", "fake.lose=arch-1")
    wait_for_end(job)
    assert state(f"{job}_0") == ("FAILED", 2), logs()
    store = make_store("store")
    assert len(store.complete()) == 2
    assert [failure.arch_str for failure in store.failures().values()] == ["arch-1"]


def test_a_preempted_task_returns_by_slurms_own_hand(checkout):
    job = submit_array("0", 1, "fake.candidates=4", "fake.step_s=1")
    wait_for_state(4)
    urgent = call("sbatch", "--parsable", "--partition=urgent", *WHOLE_NODE, "--output=/dev/null", "--wrap", "sleep 1")
    wait_for_end(f"{job},{urgent}")
    assert state(urgent)[0] == "COMPLETED"
    assert state(f"{job}_0") == ("COMPLETED", 1), logs()
    assert "goes back into the queue" not in logs()
    assert_complete(checkout, 4)


def test_a_task_that_is_preempted_with_notice_returns_too(checkout):
    """Slurm sends SIGTERM, and takes the node only when the partition's grace time is over."""
    job = submit_array("0", 1, "fake.candidates=4", "fake.step_s=6", options=["--partition=graceful"])
    wait_for_state(4)
    urgent = call("sbatch", "--parsable", "--partition=urgent", *WHOLE_NODE, "--output=/dev/null", "--wrap", "sleep 1")
    wait_for_end(f"{job},{urgent}")
    assert state(urgent)[0] == "COMPLETED"
    assert state(f"{job}_0") == ("COMPLETED", 1), logs()
    assert_complete(checkout, 4)


def test_the_tasks_of_a_dead_node_are_run_again(checkout):
    node = socket.gethostname().split(".")[0]
    job = submit_array("0", 1, "fake.candidates=4", "fake.step_s=1")
    wait_for_state(4)
    call("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        wait_until(lambda: "RUNNING" not in queued(job))
    finally:
        call("scontrol", "update", f"nodename={node}", "state=resume", check=False)  # or it is back by itself
    wait_for_end(job, meanwhile=lambda: return_to_service(node, job))
    name, restarts = state(f"{job}_0")
    assert (name, restarts > 0) == ("COMPLETED", True), logs()
    assert_complete(checkout, 4)


def test_a_throttled_array_never_runs_more_tasks_than_allowed(checkout):
    job = submit_array("0-2%1", 3, "fake.candidates=3", "fake.step_s=0.3")
    running = []

    def is_over():
        states = queued(job)
        running.append(states.count("RUNNING"))
        return not any(name in states for name in ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING"))

    wait_until(is_over)
    assert max(running) == 1
    assert_complete(checkout, 3)
