"""What `conftest.py` keeps tests away from."""

import os
import runpy
from pathlib import Path

import pytest


def test_tests_do_not_see_where_a_users_accuracies_and_predictors_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise they would import made-up accuracies into that table."""
    for name in ("NAP2_TRUTH", "NAP2_CHECKPOINTS"):
        monkeypatch.setenv(name, "mine")
    runpy.run_path(str(Path(__file__).with_name("conftest.py")))
    assert not {"NAP2_TRUTH", "NAP2_CHECKPOINTS"} & os.environ.keys()
