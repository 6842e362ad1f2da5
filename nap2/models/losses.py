"""What the predictor minimises: a fraction of accuracy (App. C.5.1, the default), its square, or the order (C.5.2)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional

from nap2.errors import UnknownNameError

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


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {"l1": functional.l1_loss, "mse": functional.mse_loss, "soft_spearman": soft_spearman}
)


def loss_named(name: str) -> Loss:
    """The loss of this name.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in LOSSES:
        raise UnknownNameError("loss", name, LOSSES)
    return LOSSES[name]
