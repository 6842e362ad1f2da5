"""The twelve statistics of App. B.5, for all layers of a network at once.

Layers of equal shape are stacked, whatever their modality, into one block `[K, U, d]`; its units are sorted, and so are
its layers as a whole, since the quantiles of a layer do not follow from those of its units. Moments: see `moments.py`.
Everything happens on the device that holds the values.
"""

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from nap2.schema import COUNTS, QUANTILE_UNITS
from nap2.snapshots.moments import Summary, merged, summaries
from nap2.snapshots.sorting import quantiles_and_middle, sort_finite

FLOAT32_MAX = torch.finfo(torch.float32).max


def layer_statistics(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Statistics of one modality; see `modality_statistics`.

    Args:
        rows: one `[units, d]` tensor per layer, at most 99 units.

    Returns:
        float32 `[N]` in the order of `nap2.snapshots.layout`, and int64 `[C]`, see `nap2.schema.COUNTS`.
    """
    values, counts = modality_statistics([rows])
    return values[0], counts[0]


def modality_statistics(modalities: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
    """Statistics of the same layers seen several ways (weights and gradients).

    Values that are not finite are left out, and d counts the finite ones. A constant unit (or layer) has skewness and
    kurtosis 0, a single value covariance 0, and where nothing is finite everything is 0. A statistic beyond float32
    saturates. How often each happened is counted: non-finite values once, saturated statistics per stored entry, the
    others per unit and per layer (a single value does not count as constant).

    Args:
        modalities: `M` lists of `[units, d]` tensors, one per layer, of any floating dtype and device.

    Returns:
        float32 `[M, N]`, in the order of `nap2.snapshots.layout`, and int64 `[M, C]`, see `nap2.schema.COUNTS`; both on
        the device of the first layer.
    """
    tensors = [rows for modality in modalities for rows in modality]
    if not tensors:
        return torch.zeros(len(modalities), 0), torch.zeros(len(modalities), len(COUNTS), dtype=torch.int64)
    entries, counts = raw_statistics(tensors)
    device = tensors[0].device
    values = torch.cat([entry.to(device) for entry in entries]).view(len(modalities), -1)
    saturated = (values.abs() > FLOAT32_MAX).sum(dim=1)
    by_layer = torch.stack([count.to(device) for count in counts]).view(len(modalities), -1, len(COUNTS) - 1)
    totals = torch.cat([by_layer.sum(dim=1), saturated[:, None]], dim=1)
    return values.clamp_(-FLOAT32_MAX, FLOAT32_MAX).float(), totals


@torch.no_grad()
def raw_statistics(tensors: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The statistics before they are rounded to float32.

    Args:
        tensors: one `[units, d]` tensor per layer.

    Returns:
        Per layer, in the order given: float64 `[n]`, its part of the flat vector, and int64 `[C - 1]`, the counts
        without that of the saturated statistics.
    """
    layers_by_kind: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for layer, rows in enumerate(tensors):
        layers_by_kind[rows.device, rows.dtype, *rows.shape].append(layer)
    entries, counts = list(tensors), list(tensors)
    for layers in layers_by_kind.values():
        block_entries, block_counts = _block_statistics(torch.stack([tensors[layer] for layer in layers]))
        for layer, layer_entries, layer_counts in zip(layers, block_entries, block_counts, strict=True):
            entries[layer], counts[layer] = layer_entries, layer_counts
    return entries, counts


def _block_statistics(block: Tensor) -> tuple[Tensor, Tensor]:
    """`[K, U, d]` → float64 `[K, n]`, the parts of the flat vector, and int64 `[K, C - 1]`, the counts."""
    block, scale = _scaled(block)
    num_layers, units, size = block.shape
    if units * size == 0:
        num_entries = 11 * (1 + units) + 5 * (1 + min(units, QUANTILE_UNITS))
        counts = torch.tensor([0, 0, 0, 1 + units], device=block.device)
        return block.new_zeros(num_layers, num_entries, dtype=torch.float64), counts.expand(num_layers, -1)
    layers, layer_sizes = sort_finite(block.view(num_layers, -1).clone())
    layer_quantiles, layer_middle = quantiles_and_middle(layers, layer_sizes)
    units_summary = summaries(*sort_finite(block.view(-1, size)), num_layers)
    layer_summary = merged(units_summary, layer_middle, layer_quantiles)
    sources = Summary._make(
        torch.cat([a[:, None], b], dim=1) for a, b in zip(layer_summary, units_summary, strict=True)
    )
    scalars = _scalars(sources, scale)  # [K, 11, 1 + U]
    quantiles = sources.quantiles[:, : 1 + QUANTILE_UNITS] * scale[..., None]
    return torch.cat([scalars.flatten(1), quantiles.flatten(1)], dim=1), _counts(sources, size)


def _scaled(block: Tensor) -> tuple[Tensor, Tensor]:
    """Values as float32, or as float64 divided by a power of two per layer so that their fourth powers exist.

    (A unit of a float64 layer that is 1e-77 times smaller than its largest value is taken for constant.)
    """
    scale = torch.ones(len(block), 1, dtype=torch.float64, device=block.device)
    if block.dtype != torch.float64:
        return block.float(), scale  # exact: half precision widens
    if block.numel():
        largest = block.abs().masked_fill(~block.isfinite(), 0).amax(dim=(1, 2))
        half_scale = torch.where(largest > 0, largest / (2 * torch.frexp(largest).mantissa), 1.0)
        scale = half_scale[:, None]
    return block / scale[..., None], scale


def _scalars(sources: Summary, scale: Tensor) -> Tensor:
    """The scalar statistics, float64 `[K, 11, 1 + U]`, of summaries `[K, 1 + U]` in units of `scale` `[K, 1]`."""
    size, variance, quantiles = sources.size, sources.moment2, sources.quantiles
    mean = sources.middle + sources.mean
    varies = variance > 0
    deviation = variance.sqrt()
    statistics = (
        mean * scale,
        quantiles[..., 2] * scale,
        variance * scale * scale,
        deviation * scale,
        quantiles[..., 0] * scale,
        quantiles[..., 4] * scale,
        torch.where(varies, sources.moment3 / (variance * deviation), 0.0),
        torch.where(varies, sources.moment4 / (variance * variance) - 3.0, 0.0),
        variance * (size / (size - 1).clamp_(min=1)) * scale * scale,
        sources.l1_norm * scale,
        (size * (variance + mean * mean)).sqrt_() * scale,
    )
    return torch.stack(statistics, dim=1)


def _counts(sources: Summary, size: int) -> Tensor:
    """int64 `[K, C - 1]`: non-finite values, constant, single and empty sources; a unit has `size` values."""
    sizes = sources.size
    num_units = sizes.shape[1] - 1
    non_finite = (num_units * size - sizes[:, 0]).long()
    is_constant = (sources.quantiles[..., 0] == sources.quantiles[..., 4]) & (sizes > 1)
    flags = torch.stack([is_constant, sizes == 1, sizes == 0], dim=1).sum(dim=2)
    return torch.cat([non_finite[:, None], flags], dim=1)
