"""What passes between the blocks of a re-initialised network, and back: the three measured scores of AZ-NAS."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn.functional import pixel_unshuffle

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.gaussian import initialise, random_images
from nap2.baselines.zero_cost.layers import blocks_of
from nap2.baselines.zero_cost.workbench import Workbench


@dataclass(frozen=True)
class BlockStatistics:
    """Of the maps x_0 (before the first block), x_1, … x_n (after each block), in order of execution.

    Attributes:
        entropies: of the normalised spectrum of the channel covariance of x_1 … x_n, nats.
        gains: largest singular value of the channel correlation between a random sign gradient at x_i and what
            reaches x_{i-1} of it; None for a block that hands it on unchanged.
    """

    entropies: list[float]
    gains: list[float | None]


def block_statistics(bench: Workbench) -> BlockStatistics:
    """One forward pass of N(0, 1) images through Kaiming-initialised weights, one backward pass a block.

    Raises:
        UndefinedScoreError: no blocks, or blocks that are not run once each in a chain of single tensors.
    """
    network = bench.copy()
    initialise(network, "kaiming")
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    chain = _run_chain(network, random_images(bench))
    entropies = [_spectrum_entropy(_channels_last_rows(x.detach())) for x in chain[1:]]
    return BlockStatistics(entropies, [_gain(*pair) for pair in pairwise(chain)])


def _run_chain(network: nn.Module, images: Tensor) -> list[Tensor]:
    chain: list[Tensor] = []

    def collect(_: nn.Module, args: tuple[object, ...], output: object) -> None:
        if not args or not isinstance(args[0], Tensor) or not isinstance(output, Tensor):
            raise UndefinedScoreError("its blocks do not map one tensor to one tensor")
        chain.extend([args[0], output] if not chain else [output])

    blocks = blocks_of(network)
    for block in blocks:
        block.register_forward_hook(collect)
    network(images.requires_grad_(True))
    if not chain:
        raise UndefinedScoreError("it compares the blocks of a network, and this one has none")
    return chain


def _channels_last_rows(values: Tensor) -> Tensor:
    """`[positions, C]`: maps `[B, C, H, W]` by position, tokens `[B, T, C]` by token."""
    return (values.permute(0, 2, 3, 1) if values.dim() == 4 else values).reshape(-1, _num_channels(values))


def _num_channels(values: Tensor) -> int:
    return values.shape[1] if values.dim() == 4 else values.shape[-1]


def _spectrum_entropy(rows: Tensor) -> float:
    """Entropy of the eigenvalues of the biased covariance, as shares of their sum; 0 for constant features."""
    centred = rows - rows.mean(0, keepdim=True)
    covariance = (centred.t() @ centred).double() / len(rows)
    eigenvalues = torch.linalg.eigvalsh(covariance).clamp(min=0.0)  # rounding makes tiny negatives on valid networks
    total = float(eigenvalues.sum())
    if not total > 0.0:
        return 0.0
    shares = eigenvalues / total
    return float(-(shares * (shares + 1e-8).log()).sum())


def _gain(before: Tensor, after: Tensor) -> float | None:
    signs = (torch.randint(0, 2, after.shape, dtype=torch.int8, device="cpu") * 2 - 1).to(after)
    (arrived,) = grad(after, before, signs, retain_graph=True, allow_unused=True)
    if arrived is None:
        raise UndefinedScoreError("a block's output does not depend on the output of the block before")
    if arrived.shape == signs.shape and bool((arrived == signs).all()):
        return None
    if before.dim() == 4 and before.shape[-1] != after.shape[-1]:
        arrived = pixel_unshuffle(arrived, before.shape[-1] // after.shape[-1])
    left, right = _channels_last_rows(arrived), _channels_last_rows(signs)
    if len(left) != len(right):
        raise UndefinedScoreError("a block changes the number of positions by a factor that is not whole")
    return float(torch.linalg.matrix_norm((left.t() @ right).double() / len(left), ord=2))
