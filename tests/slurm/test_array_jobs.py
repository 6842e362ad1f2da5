"""The batch scripts on a real Slurm: arrays complete, come back after signals, and lose nothing to `kill -9`."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes_campaign import STEPS, candidates, contents, make_store, make_train

from nap2.stages.campaign import run_worker

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1200)]


@pytest.fixture
def checkout(cluster, tmp_path, monkeypatch):
    """A folder like a checkout, with a stand-in for train.py."""
    (tmp_path / "slurm").symlink_to(ROOT / "slurm")
    (tmp_path / "train.py").symlink_to(HERE / "fake_train.py")
    (tmp_path / "runs/slurm").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAP2_PYTHON", sys.executable)
    yield tmp_path
    subprocess.run(["scancel", "--user", str(os.getuid())], check=False)


def call(*command, check=True):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


def submit_array(array, count, *values):
    resources = ("--cpus-per-task=1", "--mem=100M", "--gres=gpu:1")
    return call("sbatch", "--parsable", f"--array={array}", *resources, "slurm/snapshot.sbatch", count, *values)


def queued(job):
    return call("squeue", "-h", "-j", job, "-o", "%i %T", check=False)


def wait_until(what, seconds=600):
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, call("squeue") + logs()
        time.sleep(0.3)
    return found


def wait_for_end(job):
    active = ("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD")
    wait_until(lambda: not any(state in queued(job) for state in active))


def state(job):
    fields = dict(field.split("=", 1) for field in call("scontrol", "show", "job", job, "-o").split() if "=" in field)
    return fields["JobState"], int(fields["Restarts"])


def logs():
    return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(Path("runs/slurm").iterdir()))


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


def submit(*arguments):
    return call(sys.executable, "-m", "slurm.submit", *arguments)


def ids(output):
    return {line.split()[1]: line.split()[0] for line in output.splitlines()}


CHAIN = ("--tasks", "2", "--at-most", "2", "--cpus", "1", "--mem", "50M", "--time", "20")


@pytest.fixture
def any_value(monkeypatch):
    """Let `fake.…` values pass the check of the config, which does not know them."""
    folder = Path("site")
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import nap2.stages.compose as c\n"
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
        [sys.executable, "-m", "slurm.submit", "--partition", "nowhere"], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: Slurm refused snapshot: ")
    assert "invalid partition" in result.stderr
    assert result.stderr.count("\n") == 1
