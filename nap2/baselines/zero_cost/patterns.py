"""Which ReLUs are active for which images: overlaps between images, and one word of bits per neuron."""

import torch
from torch import Tensor

WORD = 64  # bits of an int64


def rows_of(values: Tensor) -> Tensor:
    """One row per image, `[B, n]`, without copying channels-last maps; the order within rows is that of memory."""
    if values.dim() == 4 and not values.is_contiguous() and values.is_contiguous(memory_format=torch.channels_last):
        values = values.permute(0, 2, 3, 1)
    return values.reshape(len(values), -1)


def joint_activity(output: Tensor) -> Tensor:
    """How many neurons are active for both of two images.

    Args:
        output: `[B, ...]`, what a ReLU returned (nowhere negative).

    Returns:
        float64 `[B, B]`, whole numbers. Products of zeros and ones are exact in float32 up to 2^24 neurons.
    """
    active = rows_of(output).sign()
    if active.dtype not in (torch.float32, torch.float64):
        active = active.float()
    pieces = torch.split(active, 1 << 24, dim=1)
    return torch.stack([(piece @ piece.t()).double() for piece in pieces]).sum(0)


def agreement(joint: Tensor, num_neurons: int) -> Tensor:
    """How many neurons two images switch alike, `[B, B]`: `n - |x| - |y| + 2 |x and y|`, the kernel of NASWOT."""
    active = joint.diagonal()
    return num_neurons - active[:, None] - active[None, :] + 2 * joint


def pack_patterns(output: Tensor) -> Tensor:
    """The images each neuron is active for, as bits.

    Args:
        output: `[B, ...]`, what a ReLU returned.

    Returns:
        int64 `[n, ceil(B / 64)]`; image b is bit b % 64 of word b // 64.
    """
    active = (rows_of(output) > 0).view(torch.uint8)
    num_images, num_neurons = active.shape
    num_words = -(-num_images // WORD)
    if num_images % WORD:
        active = torch.cat([active, active.new_zeros(num_words * WORD - num_images, num_neurons)])
    octets = active.view(num_words * 8, 8, num_neurons)
    packed = octets[:, 0].clone()
    for bit in range(1, 8):
        packed |= octets[:, bit] << bit
    return packed.t().contiguous().view(torch.int64)


def count_distinct(words: Tensor, num_images: int) -> int:
    """How many different patterns there are over the first `num_images` images.

    Args:
        words: `[n, W]` from `pack_patterns`.
        num_images: images to look at, at least 1.
    """
    if num_images <= 16:
        codes = words[:, 0] & ((1 << num_images) - 1)
        return int((torch.bincount(codes, minlength=1) > 0).sum())
    labels = _masked(words[:, 0], num_images)
    for index in range(1, -(-num_images // WORD)):
        _, labels = torch.unique(labels, return_inverse=True)
        _, others = torch.unique(_masked(words[:, index], num_images - index * WORD), return_inverse=True)
        labels = labels * (others.max() + 1) + others  # below n^2: exact in 63 bits for any n that fits in memory
    ordered = labels.sort().values
    return int((ordered[1:] != ordered[:-1]).sum()) + 1


def _masked(word: Tensor, num_images: int) -> Tensor:
    return word if num_images >= WORD else word & ((1 << num_images) - 1)


def count_distinct_images(agreements: Tensor, num_neurons: int) -> float:
    """How many images differ from each other in some neuron: the sum over images of 1 / (images of its pattern)."""
    return float((1.0 / (agreements == num_neurons).sum(1)).sum())
