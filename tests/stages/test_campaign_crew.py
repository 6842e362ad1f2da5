"""Whose fault the death of a worker is, without any process: dead ones are played by what the crew asks of them."""

import json
import os
import socket
from types import SimpleNamespace

import pytest
from fakes_campaign import FACTORY, STEPS, candidates, make_store, make_train

from nap2.errors import StoreError
from nap2.snapshots import claims
from nap2.stages.campaign import crew as crew_module
from nap2.stages.campaign import local
from nap2.stages.campaign.crew import DEATHS_PER_CANDIDATE, Crew
from nap2.stages.campaign.retries import tries_so_far
from nap2.stages.campaign.stop_flag import StopFlag
from nap2.stages.campaign.worker import run_worker
from nap2.stages.campaign.worker_job import WorkerJob

PID = os.getpid()


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


@pytest.fixture
def crew(store, tmp_path, monkeypatch):
    monkeypatch.setattr(crew_module, "_start", lambda member: None)
    job = WorkerJob(store.root, candidates(2), STEPS, False, (FACTORY, {}), first=0, tries_before=None)
    return Crew([job], tmp_path / "logs", store, note=lambda text: None)


def die(crew):
    """The only worker is found dead."""
    crew.members[0].process = SimpleNamespace(pid=PID, poll=lambda: -9)
    crew.look_after(settled=0)


def claim_as(store, candidate, **changes):
    """What a process leaves that dies over a candidate: its claim and its state."""
    staged = store.staging / candidate.id
    staged.mkdir(exist_ok=True)
    owner = {"machine": claims._machine(), "host": socket.gethostname(), "pid": PID, "token": "1", **changes}
    (staged / "owner.json").write_text(json.dumps(owner))
    (staged / "state.pt").write_text('{"step": 1}')
    return staged


def test_a_candidate_over_which_workers_died_is_recorded_and_its_state_forgotten(store, crew, tmp_path):
    candidate, journal = candidates(2)[1], tmp_path / "journal"
    for deaths in range(1, DEATHS_PER_CANDIDATE + 1):
        staged = claim_as(store, candidate)
        assert not store.failures()
        die(crew)
        assert (staged / "state.pt").exists() == (deaths < DEATHS_PER_CANDIDATE)
    assert list(store.failures()) == [candidate.id]
    (staged / "owner.json").unlink()
    train = make_train(journal=str(journal))
    run_worker(store, [candidate], STEPS, train, tries_before=tries_so_far(store, True), patience_s=0.0)
    assert journal.read_text() == "arch-1 0\n"


@pytest.mark.parametrize("error", [StoreError("no such file"), OSError(28, "No space left for the log")])
def test_workers_save_their_work_when_their_leader_cannot_go_on(monkeypatch, error):
    """Killed at once, each would lose up to a minute of training."""
    monkeypatch.setattr(local, "UPDATE_EVERY_S", 0.0)
    done = []
    crew = SimpleNamespace(
        start=lambda: None,
        is_working=lambda: True,
        ask_to_stop=lambda: done.append("asked"),
        wait=lambda seconds: done.append("waited"),
        kill=lambda: done.append("killed"),
    )

    def look():
        raise error

    with pytest.raises(type(error)):
        local._run_crew(crew, SimpleNamespace(refresh_if_cheap=look), StopFlag(), overview=None)
    assert done == ["asked", "waited", "killed"]


@pytest.mark.parametrize("other", [{"machine": "another kernel"}, {"host": "another container of this kernel"}])
def test_a_process_of_the_same_number_elsewhere_is_not_blamed(store, crew, other):
    theirs = claim_as(store, candidates(2)[0], **other)
    for _ in range(DEATHS_PER_CANDIDATE):
        die(crew)
    assert not store.failures()
    assert sorted(path.name for path in theirs.iterdir()) == ["owner.json", "state.pt"]
