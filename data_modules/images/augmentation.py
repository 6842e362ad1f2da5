"""Random crops, flips and normalisation of a whole batch at once, in plain torch, on the images' own device."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def crop_and_flip(images: Tensor, corners: Tensor, flips: Tensor, padding: int) -> Tensor:
    """Mirror some images left to right, surround all with zeros, and cut the original size out again.

    Args:
        images: `[B, H, W, C]`, any dtype.
        corners: int64 `[B, 2]`, row and column of the cut's upper left corner, each in `0..2 * padding`.
        flips: bool `[B]`, which images to mirror before they are padded.
        padding: zeros on each side.

    Returns:
        `[B, H, W, C]`.
    """
    batch, height, width, channels = images.shape
    padded = pad(images, (0, 0, padding, padding, padding, padding))
    rows = corners[:, :1] + torch.arange(height, device=images.device)  # [B, H]
    columns = corners[:, 1:] + torch.arange(width, device=images.device)  # [B, W]
    columns = torch.where(flips[:, None], width + 2 * padding - 1 - columns, columns)
    rows = rows + torch.arange(batch, device=images.device)[:, None] * (height + 2 * padding)
    pixels = rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]  # [B, H, W]
    return padded.view(-1, channels).index_select(0, pixels.flatten()).view(batch, height, width, channels)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """`(x / 255 - mean) / std`.

    Args:
        images: uint8 `[B, H, W, C]`.
        mean: float32 `[C]` or `[H, W, C]`, a fraction of full scale.
        std: float32 `[C]`.

    Returns:
        float32 `[B, H, W, C]`.
    """
    return images.float().div_(255).sub_(mean).div_(std)
