import pytest
import torch
from fakes_training import RECIPE, tiny_data
from lightning.pytorch import Callback, Trainer
from torch import nn

from nap2.training.candidate_module import CandidateModule
from nap2.training.quiet_trainer import fit


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 3))


class Rates(Callback):
    """The learning rate of each step."""

    def __init__(self):
        self.rates = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("first_step", [0, 4, 12])
def test_the_learning_rate_falls_once_an_epoch_of_the_whole_run(first_step):
    rates, num_steps = Rates(), 24 - first_step
    batches = tiny_data().for_run(4, first_step, num_steps, "cpu").train_dataloader()
    fit(CandidateModule(small_network(), RECIPE, 3, 6, first_step), batches, [rates], torch.device("cpu"), num_steps)
    expected = [RECIPE.learning_rate(step // 6) for step in range(first_step, 24)]
    assert rates.rates == pytest.approx(expected, abs=1e-15)


def test_it_works_with_a_trainer_of_ones_own():
    module, data = CandidateModule(small_network(), RECIPE, 3, 6), tiny_data()
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(module, datamodule=data)
    assert {"train/loss", "val/loss", "val/accuracy"} <= trainer.callback_metrics.keys()
    images, labels = next(iter(data.test_dataloader()))
    expected = (module.network(images).argmax(1) == labels).float().mean()
    assert trainer.test(module, datamodule=data, verbose=False)[0]["test/accuracy"] == pytest.approx(expected.item())
