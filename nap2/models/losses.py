"""What the predictor minimises: a fraction of accuracy (App. C.5.1, the default), its square, or the order (C.5.2)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional

from nap2.errors import check_name

Loss = Callable[[Tensor, Tensor], Tensor]

TEMPERATURE = 0.01
"""Accuracies a per cent apart count as ordered to 73 %; a choice of ours, the paper names none."""


def soft_spearman(predicted: Tensor, accuracy: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """One minus Spearman's correlation, with the ranks of the predictions softened so that they have a gradient.

    Equation 32 is the correlation's own formula, whose minimum would be the reversed order; the loss is its complement.

    Args:
        predicted: `[B]`, fractions.
        accuracy: `[B]`, fractions; equal ones share their mean rank.
        temperature: difference of predictions over which a rank changes.

    Returns:
        Scalar from 0 (the same order) to 2 (the reversed one); 0 for fewer than two values.
    """
    size = len(predicted)
    if size < 2:
        return predicted.sum() * 0.0
    soft = ((predicted[:, None] - predicted) / temperature).sigmoid().sum(1)
    hard = ((accuracy[:, None] - accuracy).sign() + 1).sum(1) / 2
    return 6.0 * (soft - hard).square().sum() / (size * (size**2 - 1))


def pairwise_logistic(predicted: Tensor, accuracy: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Mean over the pairs that differ in accuracy of log(1 + exp(−gap)): how wrong the order is, pair by pair.

    Args:
        predicted: `[B]`, fractions.
        accuracy: `[B]`, fractions; a pair with equal ones is left out.
        temperature: the gap of predictions that counts as 1.

    Returns:
        Scalar, log 2 for equal predictions and towards 0 for well separated ones in the right order; 0 without a pair.
    """
    better = accuracy[:, None] > accuracy
    if not better.any():
        return predicted.sum() * 0.0
    gaps = (predicted[:, None] - predicted)[better] / temperature
    return functional.softplus(-gaps).mean()


PAIRWISE_WEIGHT = 0.05
"""Of the pairwise loss beside L1: at the start both pull about equally (log 2 against errors of a few per cent)."""


def l1_pairwise(predicted: Tensor, accuracy: Tensor) -> Tensor:
    """L1 with the pairwise logistic loss beside it: values for their scale, pairs for their order."""
    return functional.l1_loss(predicted, accuracy) + PAIRWISE_WEIGHT * pairwise_logistic(predicted, accuracy)


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "l1": functional.l1_loss,
        "mse": functional.mse_loss,
        "soft_spearman": soft_spearman,
        "l1_pairwise": l1_pairwise,
    }
)


def loss_named(name: str) -> Loss:
    """The loss of this name.

    Raises:
        UnknownNameError: if there is none.
    """
    check_name("loss (model.predictor.loss)", name, LOSSES)
    return LOSSES[name]
