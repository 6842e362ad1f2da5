import pytest
import torch
from fakes_training import RECIPE, tiny_data
from lightning.pytorch import Callback
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
    fit(CandidateModule(small_network(), RECIPE, 6, first_step), batches, [rates], torch.device("cpu"), num_steps)
    expected = [RECIPE.learning_rate(step // 6) for step in range(first_step, 24)]
    assert rates.rates == pytest.approx(expected, abs=1e-15)
