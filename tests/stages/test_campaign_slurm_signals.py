"""How a process puts its Slurm job back into the queue; the real thing is in tests/slurm."""

import os
import signal
from pathlib import Path

import pytest

from nap2.stages.campaign.slurm_signals import MAX_RESTARTS, SlurmJob
from nap2.stages.campaign.stop_flag import StopFlag


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A stand-in that notes its arguments."""

    def install(code=0):
        path = tmp_path / "scontrol"
        path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho "not now" >&2\nexit {code}\n')
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    install()
    install.calls = lambda: (
        (tmp_path / "calls").read_text().split("\n")[:-1] if Path(tmp_path / "calls").exists() else []
    )
    return install


@pytest.fixture
def task(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "40")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")


def test_an_array_task_is_named_by_array_and_index():
    assert SlurmJob.from_environment({}) is None
    assert SlurmJob.from_environment({"SLURM_JOB_ID": "5"}) == SlurmJob("5", 0)
    array = {"SLURM_JOB_ID": "41", "SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "7", "SLURM_RESTART_COUNT": "2"}
    assert SlurmJob.from_environment(array) == SlurmJob("40_7", 2)


def test_usr1_puts_the_job_back_into_the_queue(scontrol, task, capsys):
    with StopFlag.on_signals():
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not scontrol.calls()  # only once the block has saved its work
    assert scontrol.calls() == ["requeue 40_7"]
    assert "Job 40_7 goes back into the queue (restart 1)." in capsys.readouterr().out


def test_term_does_not(scontrol, task):
    with StopFlag.on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert not scontrol.calls()


def test_a_job_that_lost_its_gpu_returns_unless_somebody_ends_it(scontrol, task):
    for by_signal in (None, signal.SIGTERM):
        with StopFlag.on_signals() as stop:
            stop.may_return, stop.by_signal = True, by_signal
    assert scontrol.calls() == ["requeue 40_7"]


def test_nothing_happens_outside_of_slurm_or_where_it_is_not_wanted(scontrol, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with StopFlag.on_signals():
        os.kill(os.getpid(), signal.SIGUSR1)
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    with StopFlag.on_signals(requeue=False):
        os.kill(os.getpid(), signal.SIGUSR1)
    assert not scontrol.calls()


def test_a_refusal_is_said_in_one_line(scontrol, task, capsys):
    scontrol(code=1)
    with StopFlag.on_signals():
        os.kill(os.getpid(), signal.SIGUSR1)
    assert "Job 40_7 could not be put back into the queue (not now); submit it again to go on." in (
        capsys.readouterr().out
    )


def test_a_job_that_gets_nowhere_does_not_circle_forever(scontrol):
    refusal = SlurmJob("5", MAX_RESTARTS).requeue()
    assert refusal == f"it was restarted {MAX_RESTARTS} times already"
    assert not scontrol.calls()
