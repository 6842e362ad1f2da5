"""What does not fit this code (a torchvision, a GPU) gets one clear line instead of a stack of other libraries."""

import sys
from pathlib import Path

import pytest
import torch
from fakes_campaign import gpu_error

from nap2.errors import CampaignError, ConfigError
from nap2.stages.campaign import training
from nap2.stages.command.environment import check_kernels, check_torchvision
from nap2.stages.snapshot_stage import _train_here


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


@pytest.mark.parametrize(("capability", "is_old"), [((6, 1), True), ((7, 5), False), ((12, 0), False)])
def test_a_gpu_older_than_every_kernel_is_refused(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], is_old: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_90a", "sm_120", "compute_120"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GTX 1080 Ti")
    if not is_old:
        return check_kernels()
    with pytest.raises(
        ConfigError, match=r"no kernels for this GTX 1080 Ti \(it is sm_61, the oldest .* sm_75\); install"
    ):
        check_kernels()
    return None


def test_a_gpu_that_fails_what_it_is_asked_first_is_refused_and_the_check_is_of_the_recipes_precision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(device: str, precision: str) -> None:
        raise gpu_error(f"CUDA error: {device} is busy or unavailable in {precision}\nCUDA kernel errors might be late")

    monkeypatch.setattr(training, "check_kernels", lambda: None)
    monkeypatch.setattr("nap2.training.arithmetic.check_arithmetic", fail)
    monkeypatch.setattr(training, "make_deterministic", lambda: None)
    parts = dict.fromkeys(("reader", "images", "num_snapshots", "to_the_end", "prune", "threads"))
    with pytest.raises(
        CampaignError,
        match=r"^Nothing .* GPU \(.*cuda is busy or unavailable in bf16 CUDA kernel.*\); see by nvidia-smi",
    ):
        _train_here({**parts, "device": "cuda", "precision": "bf16"})
