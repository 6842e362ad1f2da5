import os

import pytest

from nap2.errors import StoreError
from nap2.stages import evaluate_stage
from nap2.stages.command import console
from nap2.stages.command.console import RunLog


def test_tasks_that_begin_at_the_same_moment_make_one_log_folder(tmp_path, monkeypatch):
    """Of an array on a fresh checkout, the slower ones died of it."""
    mkdir = os.mkdir

    def somebody_was_faster(path, *mode):
        mkdir(path, *mode)
        mkdir(path, *mode)

    monkeypatch.setattr(os, "mkdir", somebody_was_faster)
    RunLog(tmp_path / "logs", "snapshot", "a: 1\n").write("begun")
    assert (tmp_path / "logs/snapshot.log").read_text().endswith(" begun\n")


def test_a_log_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "logs/snapshot.log").mkdir(parents=True)  # nobody can append to it, not even who may everything
    with pytest.raises(StoreError, match=f"^Keeping the log failed at {tmp_path}/logs: Is a directory; "):
        RunLog(tmp_path / "logs", "snapshot", "").write("begun")


def test_an_evaluation_of_several_train_sizes_tells_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(console, "LINE_EVERY_S", 0.0)
    assert list(evaluate_stage._watched([50, 100])) == [50, 100]
    assert "train sizes: 1 of 2, 0:00:00 left" in capsys.readouterr().out
    assert list(evaluate_stage._watched([50])) == [50]
    assert capsys.readouterr().out == ""
