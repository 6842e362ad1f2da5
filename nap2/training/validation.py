"""Accuracy of a network in the middle of its training, which leaves no trace in it."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from nap2.seeding import forked_random_state


def accuracy(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Fraction of images that the network, in evaluation mode, gives their label.

    Weights, gradients, normalisation statistics, the mode of every module and the random state stay as they are.

    Args:
        network: returns logits `[B, classes]`.
        batches: images `[B, C, H, W]` and labels int64 `[B]`, on the network's device.
    """
    modes = [(module, module.training) for module in network.modules()]
    correct, total = torch.zeros((), dtype=torch.int64), 0
    network.eval()
    try:
        with forked_random_state(), torch.no_grad():
            for images, labels in batches:
                hits = (network(images).argmax(1) == labels).sum()
                correct, total = correct.to(hits.device) + hits, total + len(labels)
    finally:
        for module, mode in modes:
            module.training = mode
    return int(correct) / total
