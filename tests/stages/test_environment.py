"""A torchvision that does not fit torch gets one clear line instead of a stack of other libraries."""

import sys
from pathlib import Path

import pytest

from nap2.errors import ConfigError
from nap2.stages.environment import check_torchvision


@pytest.fixture
def torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable module of that name, to be written by the test."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    yield tmp_path / "torchvision.py"
    sys.modules.pop("torchvision", None)


def test_a_broken_one_is_named(torchvision: Path) -> None:
    torchvision.write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    with pytest.raises(ConfigError, match=r"torchvision .* does not fit torch .*nms.*; uninstall torchvision"):
        check_torchvision()


def test_a_fitting_one_is_left_alone(torchvision: Path) -> None:
    torchvision.write_text("fits = True")
    check_torchvision()
