import pytest
import torch
from scipy import stats

from nap2.errors import UnknownNameError
from nap2.models.losses import loss_named, soft_spearman


def test_far_apart_predictions_give_one_minus_spearman() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randperm(20, generator=generator).double()
    accuracy = torch.randperm(20, generator=generator).double()
    rho = stats.spearmanr(predicted, accuracy).statistic
    assert float(soft_spearman(predicted, accuracy)) == pytest.approx(1 - rho, abs=1e-12)


def test_the_right_order_costs_nothing_and_the_reversed_one_two() -> None:
    order = torch.arange(5.0)
    assert float(soft_spearman(order, order)) == pytest.approx(0, abs=1e-6)
    assert float(soft_spearman(-order, order)) == pytest.approx(2, abs=1e-6)


def test_the_gradient_sorts_a_wrong_pair() -> None:
    predicted = torch.tensor([0.505, 0.500], requires_grad=True)
    soft_spearman(predicted, torch.tensor([0.1, 0.9])).backward()
    assert predicted.grad is not None
    assert predicted.grad[0] > 0 > predicted.grad[1]  # descending lowers the first and raises the second


def test_one_value_has_no_order() -> None:
    assert float(soft_spearman(torch.tensor([0.5]), torch.tensor([0.7]))) == 0.0


def test_an_unknown_loss_is_named_with_the_known_ones() -> None:
    told = r"No loss \(model.predictor.loss\) is called 'l2'.*l1, l1_pairwise, mse, soft_spearman"
    with pytest.raises(UnknownNameError, match=told):
        loss_named("l2")
