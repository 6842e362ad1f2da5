import os

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
