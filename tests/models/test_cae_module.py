import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.utils.data import DataLoader

from nap2.models.cae_module import CAEModule, learning_rate_factor, reconstruction_loss


class TinyNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((12, 1, 1), 0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.dtype == self.scale.dtype
        assert x.is_contiguous(memory_format=torch.channels_last)
        return self.scale * x


def trainer_for(epochs: int) -> Trainer:
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_the_loss_is_summed_over_a_map_and_averaged_over_the_batch() -> None:
    maps = torch.randn(3, 12, 65, 100)
    expected = (maps * 0.5).square().sum(dim=(1, 2, 3)).mean()
    torch.testing.assert_close(reconstruction_loss(0.5 * maps, maps), expected)


def test_the_learning_rate_warms_up_from_a_millionth_and_then_falls_in_steps() -> None:
    rates = [1e-3 * learning_rate_factor(e, 1e-3, 5, 20, 0.15) for e in range(66)]
    assert rates[0] == pytest.approx(1e-6)
    assert rates[1] == pytest.approx(1e-6 + (1e-3 - 1e-6) / 5)
    assert rates[5:25] == pytest.approx([1e-3] * 20)
    assert rates[25:45] == pytest.approx([1.5e-4] * 20)
    assert rates[45] == pytest.approx(2.25e-5)
    assert learning_rate_factor(0, 1e-3, 0, 20, 0.15) == 1.0  # no warm-up


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_fit_lowers_the_loss_and_logs_both_splits(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    batches = DataLoader(torch.randn(8, 12, 65, 100), batch_size=4)
    module, trainer = CAEModule(TinyNet().to(dtype), lr=0.1, warmup_epochs=1), trainer_for(3)
    maps = next(iter(batches))
    before = float(reconstruction_loss(0.5 * maps, maps))
    trainer.fit(module, batches, batches)
    assert float(trainer.callback_metrics["val/loss"]) < before
    assert "train/loss" in trainer.callback_metrics
    (optimizer,) = trainer.optimizers
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.defaults["fused"]


def test_hyperparameters_are_plain_scalars() -> None:
    """So that a Lightning checkpoint loads with `weights_only=True`."""
    assert dict(CAEModule(TinyNet()).hparams) == {"lr": 1e-3, "warmup_epochs": 5, "step_size": 20, "gamma": 0.15}
