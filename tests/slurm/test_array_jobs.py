"""The batch scripts on a real Slurm: arrays complete, come back after signals, and lose nothing to `kill -9`."""

import subprocess
import sys
from pathlib import Path

import pytest
from cluster_calls import call, ids, logs, state, submit, submit_array, wait_for_end, wait_until
from fakes_campaign import STEPS, candidates, contents, make_store, make_train

from nap2.stages.campaign.worker import run_worker

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]


def journal():
    path = Path("journal")
    return path.read_text().splitlines() if path.exists() else []


def expected(folder, count):
    store = make_store(folder / "alone")
    run_worker(store, candidates(count), STEPS, make_train())
    return contents(store)


def test_an_array_trains_every_candidate_once(checkout):
    job = submit_array("0-2%2", 3, "fake.candidates=7")
    wait_for_end(job)
    assert [state(f"{job}_{task}")[0] for task in range(3)] == ["COMPLETED"] * 3, logs()
    assert sorted(journal()) == sorted(f"arch-{index} 0" for index in range(7))
    assert contents(make_store("store")) == expected(checkout, 7)


def test_a_task_returns_to_the_queue_after_usr1_and_goes_on_where_it_was(checkout):
    job = submit_array("0-1", 2, "fake.candidates=4", "fake.step_s=1.5")
    wait_until(lambda: any((Path("store/.staging") / c.id / "state.pt").exists() for c in candidates(4)[1::2]))
    call("scancel", "-s", "USR1", "-b", f"{job}_1")
    wait_for_end(job)
    assert state(f"{job}_0") == ("COMPLETED", 0), logs()
    assert state(f"{job}_1") == ("COMPLETED", 1), logs()
    assert any(not line.endswith(" 0") for line in journal()), journal()
    assert f"Job {job}_1 goes back into the queue (restart 1)." in logs()
    assert contents(make_store("store")) == expected(checkout, 4)


def test_a_killed_task_fails_alone_and_submitting_it_again_completes_the_campaign(checkout):
    job = submit_array("0-1", 2, "fake.candidates=4", "fake.step_s=1")
    wait_until(lambda: any((Path("store/.staging") / c.id / "state.pt").exists() for c in candidates(4)[::2]))
    call("scancel", "-s", "KILL", "-b", f"{job}_0")
    wait_for_end(job)
    assert [state(f"{job}_{task}")[0] for task in range(2)] == ["FAILED", "COMPLETED"], logs()
    assert len(make_store("store").complete()) < 4
    again = submit_array("0", 2, "fake.candidates=4")
    wait_for_end(again)
    assert state(f"{again}_0")[0] == "COMPLETED", logs()
    assert contents(make_store("store")) == expected(checkout, 4)


CHAIN = ("--tasks", "2", "--at-most", "2", "--cpus", "1", "--mem", "50M", "--time", "20", "labels=measured")


@pytest.fixture
def any_value(monkeypatch):
    """Let `fake.…` values pass the check of the config, which does not know them."""
    folder = Path("site")
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import nap2.stages.command.compose as c\n"
        "compose = c.compose_config\n"
        "c.compose_config = lambda o: compose([t for t in o if not t.startswith('fake.')])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder.resolve()))


def test_the_chain_runs_in_order_though_a_candidate_failed(checkout, any_value):
    jobs = ids(submit(*CHAIN, "fake.candidates=4", "fake.fail=arch-1"))
    wait_for_end(",".join(jobs.values()))
    assert state(f"{jobs['snapshot']}_1")[0] == "FAILED", logs()
    before = {path.name: set(path.read_text().split()) for path in Path("marks").iterdir()}
    caes = {"cae-weights", "cae-gradients"}
    assert before["index"] == set()
    assert all("index" in before[cae] for cae in caes)
    assert before["embed"] == {"index"} | caes
    assert before["predictor"] == {"index", "embed"} | caes
    assert before["evaluate"] == {"index", "embed", "predictor"} | caes
    assert [f.reason.split(":")[0] for f in make_store("store").failures().values()] == ["LossError"]


def test_what_depends_on_a_failed_stage_is_cancelled(checkout, any_value):
    chosen = ("--stages", "index", "cae", "embed")
    jobs = ids(submit(*CHAIN, "fake.fail=index", *chosen))
    wait_for_end(",".join(jobs.values()))
    assert {name: state(id)[0] for name, id in jobs.items()} == {
        "index": "FAILED",
        "cae-weights": "CANCELLED",
        "cae-gradients": "CANCELLED",
        "embed": "CANCELLED",
    }


def test_a_stage_comes_back_at_its_time_limit_and_the_chain_waits_for_it(checkout, any_value):
    jobs = ids(submit(*CHAIN, "fake.slow=embed", "--stages", "embed", "predictor"))
    wait_until(lambda: Path("marks/embed").exists())
    call("scancel", "-s", "USR1", "-b", jobs["embed"])
    wait_for_end(",".join(jobs.values()))
    assert state(jobs["embed"]) == ("COMPLETED", 1), logs()
    assert len(Path("marks/embed").read_text().splitlines()) == 2
    assert Path("marks/predictor").read_text().split() == ["embed"]


def test_slurms_refusal_is_passed_on_in_one_line(checkout):
    result = subprocess.run(
        [sys.executable, "-m", "slurm.submit", "--partition", "nowhere", "labels=measured"],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: Slurm refused snapshot: ")
    assert "invalid partition" in result.stderr
    assert "scancel" not in result.stderr  # nothing was submitted before it
    assert result.stderr.count("\n") == 1
