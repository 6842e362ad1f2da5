"""Several worker processes, killed in every way there is: nothing is lost, doubled, or different."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from fakes_campaign import FACTORY, STEPS, candidates, contents, make_store, make_train

from nap2.errors import CampaignError
from nap2.snapshots.claims import read_owner
from nap2.stages.campaign import crew
from nap2.stages.campaign.crew import worker_environment
from nap2.stages.campaign.local import run_local_campaign
from nap2.stages.campaign.worker import run_worker

pytestmark = pytest.mark.timeout(1200)  # every worker process imports torch, which takes its time on a busy machine

CAMPAIGN = """
import sys
sys.path[:0] = [{tests!r}]
from fakes_campaign import *
from nap2.stages.campaign.local import run_local_campaign
if __name__ == "__main__":
    summary = run_local_campaign({root!r}, candidates({count}), STEPS, (FACTORY, {options!r}), {workers}, {logs!r})
    print(summary.sentence())
    sys.exit(summary.exit_code)
"""


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def run(store, asked, workers=2, retry_failed=False, factory=FACTORY, **options):
    logs = store.root.parent / "logs"
    return run_local_campaign(store.root, asked, STEPS, (factory, options), workers, logs, retry_failed=retry_failed)


def alone(tmp_path, count):
    """What one undisturbed worker stores."""
    store = make_store(tmp_path / "alone")
    run_worker(store, candidates(count), STEPS, make_train())
    return contents(store)


def spawn(store, count, workers=2, **options):
    """A campaign in a process (group) of its own."""
    text = CAMPAIGN.format(
        tests=str(Path(__file__).parent),
        root=str(store.root),
        count=count,
        workers=workers,
        options=options,
        logs=str(store.root.parent / "logs"),
    )
    script = store.root.parent / "campaign.py"
    script.write_text(text)
    return subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    )


def wait_for(what, seconds=300.0):
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def owners(store):
    folders = store.staging.iterdir() if store.staging.exists() else ()
    return [owner.pid for owner in map(read_owner, folders) if owner is not None]


def exists(pid):
    return Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_workers_share_the_candidates_and_a_failure_stops_nobody(store, tmp_path):
    journal = str(tmp_path / "journal")
    summary = run(store, candidates(8), disaster={"arch-2": "diverge"}, journal=journal, step_s=0.05)
    assert (summary.done, summary.failed, summary.exit_code) == (7, 1, 1)
    trained = Counter(line.split()[0] for line in Path(journal).read_text().splitlines())
    assert trained == Counter(f"arch-{index}" for index in range(8))
    expected = alone(tmp_path, 8)
    del expected["arch-2"]
    assert contents(store) == expected
    assert "failed: LossError" in "".join(log.read_text() for log in (tmp_path / "logs").glob("worker-*.log"))


def test_a_second_call_starts_no_process(store, tmp_path):
    run_worker(store, candidates(2), STEPS, make_train())
    assert run(store, candidates(2), factory="fakes_campaign:no_such_function").found == 2
    assert not (tmp_path / "logs").exists()


@pytest.mark.slow
def test_a_refusal_of_a_worker_is_the_campaigns_refusal(store):
    with pytest.raises(CampaignError, match=r"^no such data here; give another folder\.$"):
        run(store, candidates(2), factory="fakes_campaign:refuse")


@pytest.mark.slow
def test_workers_that_cannot_begin_are_not_started_forever(store, monkeypatch):
    monkeypatch.setattr(crew, "MIN_IDLE_DEATHS", 1)
    with pytest.raises(CampaignError, match=r"Workers died 3 times without settling a candidate, .* exit code 7"):
        run(store, candidates(2), workers=1, factory="fakes_campaign:break_down")


@pytest.mark.slow
def test_a_candidate_that_kills_its_workers_is_recorded_and_the_rest_is_trained(store):
    asked = candidates(5)
    summary = run(store, asked, disaster={"arch-1": "die"})
    assert (summary.done, summary.failed) == (4, 1)
    reason = store.failures()[asked[1].id].reason
    assert reason == "its worker process died 3 times; the last one was killed by SIGKILL (out of memory?)"


@pytest.mark.slow
def test_where_all_that_is_left_kills_its_workers_a_second_call_comes_to_an_end(store, monkeypatch):
    monkeypatch.setattr(crew, "MIN_IDLE_DEATHS", 1)  # three deaths of one worker
    asked = candidates(5)
    deadly = {f"arch-{index}": "die" for index in (1, 2, 3)}
    with pytest.raises(CampaignError, match="Workers died 3 times without settling a candidate"):
        run(store, asked, workers=1, disaster=deadly)
    assert len(store.complete()) in (1, 2)  # arch-4 has its turn where it is noticed late that arch-0 is complete
    summary = run(store, asked, workers=1, disaster=deadly)
    assert (summary.done, summary.failed) == (2, 3)
    assert {failure.reason[:34] for failure in store.failures().values()} == {"its worker process died 3 times; t"}
    assert run(store, asked, workers=1, retry_failed=True).done == 5


@pytest.mark.slow
def test_a_worker_that_loses_its_gpu_is_replaced_and_the_rest_is_trained(store, capsys):
    asked = candidates(5)
    summary = run(store, asked, disaster={"arch-1": "lose the GPU"})
    assert (summary.done, summary.failed) == (4, 1)
    assert store.failures()[asked[1].id].reason.startswith("the GPU was lost over it 3 times; ")
    assert capsys.readouterr().out.count("lost its GPU; it is started again.") == 3


@pytest.mark.slow
def test_a_killed_worker_is_replaced(store, tmp_path):
    campaign = spawn(store, count=10, step_s=0.1)
    os.kill(wait_for(lambda: owners(store))[0], signal.SIGKILL)
    output, _ = campaign.communicate(timeout=300)
    assert campaign.returncode == 0, output
    assert "was killed by SIGKILL over candidate" in output
    assert contents(store) == alone(tmp_path, 10)
    assert not list(store.staging.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_campaign_that_is_asked_to_stop_keeps_what_it_has(store, tmp_path, number):
    journal = str(tmp_path / "journal")
    campaign = spawn(store, count=6, step_s=0.3, journal=journal)
    wait_for(lambda: len(store.complete()) >= 1)
    os.kill(campaign.pid, number)
    output, _ = campaign.communicate(timeout=300)
    assert campaign.returncode == 3, output
    assert f"Stopped (received {signal.Signals(number).name})" in output
    assert not owners(store)
    run(store, candidates(6), journal=journal)
    assert contents(store) == alone(tmp_path, 6)
    assert any(not line.endswith(" 0") for line in Path(journal).read_text().splitlines())  # one went on from its state


@pytest.mark.slow
def test_workers_leave_when_their_campaign_is_killed(store, tmp_path):
    campaign = spawn(store, count=6, step_s=0.3)
    pids = wait_for(lambda: owners(store) if len(owners(store)) == 2 else None)
    os.kill(campaign.pid, signal.SIGKILL)
    campaign.wait()
    wait_for(lambda: not any(exists(pid) for pid in pids))
    assert len(store.complete()) < 6
    run(store, candidates(6))
    assert contents(store) == alone(tmp_path, 6)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_two_hundred_candidates_survive_five_kills_of_everything(store, tmp_path):
    """`kill -9` of the campaign and all its workers at once, five times over; then it completes."""
    for kills in range(1, 6):
        campaign = spawn(store, count=200, step_s=0.02)
        wait_for(lambda goal=30 * kills: len(store.complete()) >= goal)
        os.killpg(campaign.pid, signal.SIGKILL)
        campaign.wait()
    assert len(store.complete()) < 200
    summary = run(store, candidates(200))
    assert (summary.done, summary.failed, summary.exit_code) == (200, 0, 0)
    assert contents(store) == alone(tmp_path, 200)
    assert len(list(store.shelf.iterdir())) == 200
    leftovers = {path.name for path in store.staging.iterdir()}  # of deaths between completing and cleaning up
    assert leftovers <= store.complete().keys()
    assert len(leftovers) <= 2 * 5


def test_each_worker_gets_one_thread_and_its_own_gpu(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    environments = [worker_environment(index) for index in range(3)]
    assert [e["CUDA_VISIBLE_DEVICES"] for e in environments] == ["4", "7", "4"]
    assert {e["OMP_NUM_THREADS"] for e in environments} == {"1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert worker_environment(0)["MKL_NUM_THREADS"] == "3"
