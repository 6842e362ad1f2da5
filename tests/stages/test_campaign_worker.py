"""One worker alone: what it trains, skips, records, resumes, and when it gives up."""

import errno
import json
import os
import signal
import threading
import time

import pytest
import torch
from fakes_campaign import STEPS, candidates, contents, curve, gpu_error, make_store, make_train, trajectory

from nap2.errors import CampaignError, ConfigError, Nap2Error, StoreError
from nap2.stages.campaign import worker as worker_module
from nap2.stages.campaign.lost_device import is_device_lost
from nap2.stages.campaign.retries import tries_so_far
from nap2.stages.campaign.stop_flag import StopFlag
from nap2.stages.campaign.worker import run_worker


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def run(store, asked, train=None, retry_failed=False, **options):
    tries = tries_so_far(store, retry_failed)
    return run_worker(store, asked, STEPS, train or make_train(), patience_s=0.0, tries_before=tries, **options)


def journal_of(path):
    return path.read_text().split("\n")[:-1] if path.exists() else []


def test_every_candidate_is_trained_once_and_a_second_call_does_nothing(store, tmp_path):
    journal = tmp_path / "journal"
    summary = run(store, candidates(4), make_train(journal=str(journal)))
    assert (summary.done, summary.failed, summary.found, summary.exit_code) == (4, 0, 0, 0)
    again = run(store, candidates(4), make_train(journal=str(journal)))
    assert again.sentence() == "All 4 candidates are there already; nothing to do."
    assert len(journal_of(journal)) == 4


def test_memory_is_given_back_after_each_candidate_that_was_tried(store, monkeypatch):
    events = []
    monkeypatch.setattr(worker_module, "return_freed_memory", lambda: events.append("given back"))
    train = make_train(disaster={"arch-1": "raise"})

    def watched(candidate, writer, stop_requested):
        events.append(candidate.arch_str)
        train(candidate, writer, stop_requested)

    run(store, candidates(3), watched)
    run(store, candidates(3), watched)
    assert events == ["arch-0", "given back", "arch-1", "given back", "arch-2", "given back"]


def test_what_is_stored_does_not_depend_on_where_a_worker_begins(tmp_path):
    stores = [make_store(tmp_path / str(first)) for first in (0, 3)]
    for store, first in zip(stores, (0, 3), strict=True):
        run(store, candidates(5), first=first)
    assert contents(stores[0]) == contents(stores[1])


def test_a_failure_is_recorded_with_its_reason_and_step_and_does_not_stop_the_rest(store):
    asked = candidates(4)
    train = make_train(disaster={"arch-1": "diverge", "arch-2": "raise"})
    summary = run(store, asked, train)
    assert (summary.done, summary.failed, summary.exit_code) == (2, 2, 1)
    failures = store.failures()
    assert failures[asked[1].id].reason == "LossError: the loss is not finite at step 1"
    assert failures[asked[1].id].step == 1
    assert failures[asked[2].id].reason == "ZeroDivisionError: division by zero"
    assert "2 failed" in summary.sentence()


def test_failed_candidates_are_left_alone_unless_asked_for(store):
    asked = candidates(3)
    run(store, asked, make_train(disaster={"arch-1": "diverge"}))
    assert run(store, asked).failed == 1
    summary = run(store, asked, retry_failed=True)
    assert (summary.done, summary.failed) == (3, 0)
    assert not store.failures()


def test_a_failed_candidate_is_retried_once_a_call_and_from_its_beginning(store, tmp_path):
    asked, journal = candidates(2), tmp_path / "journal"
    train = make_train(disaster={"arch-1": "diverge"}, journal=str(journal))
    run(store, asked, train)
    run(store, asked, train, retry_failed=True)
    assert journal_of(journal) == ["arch-0 0", "arch-1 0", "arch-1 0"]
    assert store.failures()[asked[1].id].tries == 2


def test_a_job_that_comes_back_from_the_queue_tries_failed_candidates_no_second_time(store, monkeypatch):
    asked, train = candidates(1), make_train(disaster={"arch-0": "diverge"})

    def tries():
        run(store, asked, train, retry_failed=True)
        return store.failures()[asked[0].id].tries

    run(store, asked, train)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert tries() == 2
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert tries() == 2
    monkeypatch.setenv("SLURM_JOB_ID", "8")  # another job, that comes back for the first time, tries what 7 tried
    assert [tries(), tries()] == [3, 3]
    monkeypatch.delenv("SLURM_RESTART_COUNT")  # a shell on a node: each of its calls is one that somebody gave
    assert [tries(), tries()] == [4, 5]


def test_a_stopped_worker_keeps_the_state_and_the_next_one_goes_on_from_it(store, tmp_path):
    flag, journal = StopFlag(), tmp_path / "journal"

    def train(candidate, writer, stop_requested):
        make_train(journal=str(journal))(candidate, writer, lambda: stop_requested() or stop_after_two(writer))

    def stop_after_two(writer):
        if writer.state_path.exists() and json.loads(writer.state_path.read_bytes())["step"] == 2:
            flag.set("received SIGUSR1")
        return flag()

    summary = run(store, candidates(2), train, stop=flag)
    assert (summary.done, summary.missing, summary.exit_code) == (0, 2, 3)
    assert "Stopped (received SIGUSR1): the same command goes on with the 2 missing." in summary.sentence()
    run(store, candidates(2), make_train(journal=str(journal)))
    assert journal_of(journal) == ["arch-0 0", "arch-0 2", "arch-1 0"]


def test_training_that_ends_without_a_result_is_a_failure(store):
    summary = run(store, candidates(1), lambda candidate, writer, stop_requested: None)
    assert summary.failed == 1
    assert next(iter(store.failures().values())).reason == "its training ended without a result"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (StoreError("the disk or quota is full"), "^the disk or quota is full$"),
        (OSError(errno.ENOSPC, "No space left"), "the machine refused: .*No space left; correct that and run it again"),
        (ConfigError("25 snapshots do not fit"), "^25 snapshots do not fit$"),
    ],
)
def test_what_no_candidate_is_to_blame_for_stops_the_worker(store, error, message):
    def train(candidate, writer, stop_requested):
        raise error

    with pytest.raises(Nap2Error, match=message):
        run(store, candidates(3), train)
    assert not store.failures()


def test_the_same_breakdown_again_and_again_is_not_the_candidates_fault(store):
    def train(candidate, writer, stop_requested):
        raise RuntimeError("no such kernel")

    with pytest.raises(CampaignError, match=r"20 candidates in a row failed, the last with 'RuntimeError: no such k"):
        run(store, candidates(25), train)
    assert len(store.failures()) == worker_module.MAX_FAILURES_IN_A_ROW


def test_a_lost_gpu_ends_the_process_and_leaves_its_candidate_to_the_next_one(store, tmp_path):
    """In the process that lost it every other candidate would fail too; in a fresh one that candidate comes last."""
    asked, journal = candidates(4), tmp_path / "journal"
    summary = run(store, asked, make_train(disaster={"arch-1": "lose the GPU"}, journal=str(journal)))
    assert (summary.done, summary.failed, summary.exit_code) == (1, 0, 3)
    assert summary.sentence() == (
        "1 of 4 candidates are complete, 1 of them new. Stopped (the GPU fails every call of this process since "
        f"{type(gpu_error('')).__name__}: CUDA error: an illegal memory access was encountered): "
        "the same command goes on with the 3 missing."
    )
    assert run(store, asked, make_train(journal=str(journal))).exit_code == 0
    assert journal_of(journal) == ["arch-0 0", "arch-1 0", "arch-2 0", "arch-3 0", "arch-1 1"]
    assert not list(store.staging.iterdir())


def test_a_candidate_over_which_the_gpu_is_lost_again_and_again_is_recorded(store):
    asked, train = candidates(3), make_train(disaster={"arch-0": "lose the GPU"})
    codes = [run(store, asked, train).exit_code for _ in range(4)]
    assert codes == [3, 3, 1, 1]  # the second one trained the rest before it came to the culprit
    reason = store.failures()[asked[0].id].reason
    assert reason.startswith("the GPU was lost over it 3 times; ")
    assert reason.endswith(": CUDA error: an illegal memory access was encountered")
    assert not list(store.staging.iterdir())  # so a retry begins with no state and no setbacks
    assert run(store, asked, retry_failed=True).exit_code == 0


@pytest.mark.parametrize(("culprit", "returns"), [("arch-0", False), ("arch-1", True)])
def test_a_job_that_lost_its_gpu_returns_only_if_it_got_anywhere(store, culprit, returns):
    stop = StopFlag()
    run(store, candidates(2), make_train(disaster={culprit: "lose the GPU"}), stop=stop)
    assert (stop.lost_device, stop.may_return) == (True, returns)


def test_a_network_that_does_not_fit_is_a_failure_and_the_rest_is_trained(store):
    def train(candidate, writer, stop_requested):
        if candidate.arch_str == "arch-1":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        make_train()(candidate, writer, stop_requested)

    summary = run(store, candidates(3), train)
    assert (summary.done, summary.failed, summary.exit_code) == (2, 1, 1)
    assert "OutOfMemoryError: CUDA out of memory" in next(iter(store.failures().values())).reason


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (gpu_error("CUDA error: device-side assert triggered"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), False),
        (gpu_error("CUDA error: out of memory"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), False),
        (RuntimeError("shape '[2]' is invalid for input of size 3"), False),
        (ValueError("CUDA error: said by somebody else"), False),
    ],
)
def test_which_errors_leave_a_process_without_its_gpu(error, is_lost):
    assert is_device_lost(error) is is_lost


def test_a_long_candidate_does_not_leave_its_log_silent(store, monkeypatch):
    monkeypatch.setattr(worker_module, "LINE_EVERY_S", 0.0)
    told = []

    class Listener:
        def update(self, counts, candidate):
            told.append((counts.running, candidate))

        def note(self, text):
            raise AssertionError(text)

    run(store, candidates(1), overview=Listener())
    assert told[1 : 1 + STEPS] == [(1, None)] * STEPS  # once before each step, besides before and after it all


def test_a_candidate_at_work_elsewhere_is_left_to_its_worker(store):
    asked = candidates(2)
    with store.claim(asked[0], STEPS) as writer:
        summary = run(store, asked)
        assert (summary.done, summary.missing, summary.exit_code) == (1, 1, 3)
        assert "Other processes are at work on 1" in summary.sentence()
        writer.finish(trajectory(asked[0], STEPS), curve(asked[0], STEPS))


@pytest.mark.parametrize(
    "error",
    [
        StoreError("was taken over by another worker; its result stands."),
        FileNotFoundError(errno.ENOENT, "No such file", "the half-written state, which the other worker took away"),
    ],
)
def test_a_candidate_that_another_machine_took_over_is_left_to_it(store, error):
    """This worker was suspended for minutes; the process that took over has, there, the number that it has here."""
    asked = candidates(2)

    def train(candidate, writer, stop_requested):
        if candidate == asked[1]:
            return make_train()(candidate, writer, stop_requested)
        owner = {"machine": "another kernel", "host": "node17", "pid": os.getpid(), "token": "theirs"}
        (writer.state_path.parent / "owner.json").write_text(json.dumps(owner))
        raise error

    summary = run(store, asked, train)
    assert (summary.done, summary.failed, summary.missing) == (1, 0, 1)


def test_a_worker_waits_for_the_last_candidates_of_others(store):
    asked = candidates(2)
    claim = store.claim(asked[0], STEPS)
    writer = claim.__enter__()

    def finish_later():
        time.sleep(0.3)
        writer.finish(trajectory(asked[0], STEPS), curve(asked[0], STEPS))

    thread = threading.Thread(target=finish_later)
    thread.start()
    summary = run_worker(store, asked, STEPS, make_train(), patience_s=30.0)
    thread.join()
    claim.__exit__(None, None, None)
    assert (summary.done, summary.exit_code) == (2, 0)


def test_a_worker_that_waits_for_others_says_how_things_stand(store, monkeypatch):
    told = []
    monkeypatch.setattr(worker_module, "LINE_EVERY_S", 0.0)

    class Listener:
        def update(self, counts, candidate):
            told.append((counts.running, counts.missing, candidate))

    asked = candidates(1)
    with store.claim(asked[0], STEPS):
        run_worker(store, asked, STEPS, make_train(), patience_s=0.1, overview=Listener())
    assert told == [(1, 1, None)]


def test_what_a_dead_worker_left_is_tried_last(store, tmp_path):
    asked, journal = candidates(3), tmp_path / "journal"
    child = os.fork()
    if child == 0:
        with store.claim(asked[0], STEPS):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    run(store, asked, make_train(journal=str(journal)))
    assert journal_of(journal) == ["arch-1 0", "arch-2 0", "arch-0 0"]


def test_an_accuracy_is_asked_for_where_the_end_of_the_recipe_is(store):
    asked = candidates(1)

    def train(candidate, writer, stop_requested):
        writer.finish(trajectory(candidate, STEPS), without_end)

    without_end = curve(asked[0], STEPS)
    without_end.final_accuracy = None
    run(store, asked, train)
    assert run(store, asked).found == 1
    summary = run(store, asked, to_the_end=True)
    assert (summary.found, summary.done) == (0, 1)


def test_what_would_lose_snapshots_is_refused_before_anything_is_trained(store, tmp_path):
    """Not when its turn comes: what was trained until then would be too short for the advice."""
    asked, journal = candidates(3), tmp_path / "journal"

    def train_longer(candidate, writer, stop_requested):
        longer = curve(candidate, STEPS + 1)
        longer.final_accuracy = None
        writer.finish(trajectory(candidate, STEPS + 1), longer)

    run(store, asked[2:], train_longer)
    with pytest.raises(StoreError, match=r"has 4 snapshots and no final accuracy; ask for 4 snapshots instead of 3"):
        run(store, asked, make_train(journal=str(journal)), to_the_end=True)
    assert journal_of(journal) == []
    assert run(store, asked).done == 3


def test_more_snapshots_are_trained_where_fewer_are_stored(store):
    run(store, candidates(2))
    summary = run_worker(store, candidates(2), 5, make_train(num_snapshots=5), patience_s=0.0)
    assert (summary.found, summary.done) == (0, 2)
    assert set(store.complete().values()) == {5}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_ask_to_stop_and_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with StopFlag.on_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert stop.reason == f"received {signal.Signals(number).name}"
    assert signal.getsignal(number) is before


def test_a_second_interrupt_interrupts_at_once():
    with StopFlag.on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_closed_pipe_asks_to_stop():
    reading, writing = os.pipe()
    stop = StopFlag()
    stop.watch_pipe(reading)
    os.close(writing)
    for _ in range(100):
        if stop():
            break
        time.sleep(0.02)
    assert stop.reason == "the process that started this worker is gone"
