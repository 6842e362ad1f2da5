"""Loss and logit gradients of parts of the batch: halves, single images, and their inner products."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import grad

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.batch_run import WeightGradients, gradients_of_loss
from nap2.baselines.zero_cost.layers import weights_of
from nap2.baselines.zero_cost.workbench import Workbench, logits_of

SPLITS = 2  # ZiCo's own two batches, cut from the one that is given
SINGLE_IMAGES = 16  # at most so many images are differentiated one by one


@dataclass(frozen=True)
class SampleSigns:
    """For every layer, the sum over images of the sign of the loss gradient; None where no image has one."""

    sums: list[Tensor | None]
    num_images: int


def split_gradients(bench: Workbench) -> list[WeightGradients]:
    """Loss gradients of `SPLITS` equal parts of the batch, each normalised by its own statistics."""
    network, images = bench.copy(), bench.images()
    if len(images) < SPLITS:
        raise UndefinedScoreError(f"it splits the batch in {SPLITS}, and the batch holds {len(images)} image")
    parts = zip(images.chunk(SPLITS), bench.targets.chunk(SPLITS), strict=True)
    return [gradients_of_loss(network, part, labels) for part, labels in parts]


def sample_signs(bench: Workbench) -> SampleSigns:
    """Signs of the loss gradient of each of the first images, fed alone as a batch of one."""
    network, images = bench.copy(), bench.images(SINGLE_IMAGES)
    weights = weights_of(network)
    sums: list[Tensor | None] = [None] * len(weights)
    for index, image in enumerate(images):
        found = gradients_of_loss(network, image[None], bench.targets[index : index + 1])
        for layer, gradient in enumerate(found.gradients):
            if gradient is not None:
                signs, before = gradient.sign(), sums[layer]
                sums[layer] = signs if before is None else before + signs
    return SampleSigns(sums, len(images))


def tangent_kernel(bench: Workbench) -> Tensor:
    """Inner products of the gradients of the images' summed logits, float64 `[n, n]` for the first n images.

    The parameters are all those with "weight" in their name, normalisation included, as in the published code;
    the images share one batch, so that in training mode each gradient reaches the others through its statistics.
    """
    network, images = bench.copy(), bench.images(SINGLE_IMAGES)
    weights = [parameter for name, parameter in network.named_parameters() if "weight" in name]
    logits = logits_of(network(images), len(images))
    if not weights or not logits.requires_grad:
        raise UndefinedScoreError("the logits do not depend on any weight")
    rows = []
    for index, total in enumerate(logits.sum(1)):
        gradients = grad(total, weights, retain_graph=index + 1 < len(images), allow_unused=True)
        rows.append(torch.cat([g.reshape(-1) for g in gradients if g is not None]))
    stacked = torch.stack(rows).double()
    return stacked @ stacked.t()
