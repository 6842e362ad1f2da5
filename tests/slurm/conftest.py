"""One real Slurm for all tests of this folder; they skip, with the reason, where it cannot be started."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from mini_slurm import MiniSlurm, missing_programs

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/stages")]  # the submitter is no installed package; fakes_campaign


@pytest.fixture(scope="session")
def cluster():
    if missing := missing_programs():
        pytest.skip(f"no Slurm here: {', '.join(missing)} missing; `make test-slurm` installs it where it can")
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # not pytest's own: a socket's path may have 107 characters
    mini = MiniSlurm(folder / "s")
    try:
        try:
            mini.start()
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            pytest.skip(f"Slurm is installed but does not start here: {error}")
        yield mini
    finally:
        mini.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def checkout(cluster, tmp_path, monkeypatch):
    """A folder like a checkout, with a stand-in for train.py."""
    (tmp_path / "slurm").symlink_to(ROOT / "slurm")
    (tmp_path / "train.py").symlink_to(ROOT / "tests/slurm/fake_train.py")
    (tmp_path / "runs/slurm").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAP2_PYTHON", sys.executable)
    yield tmp_path
    subprocess.run(["scancel", "--user", str(os.getuid())], check=False)
