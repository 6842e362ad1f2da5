"""The twelve statistics of App. B.5, for all layers of a network at once, on the device that holds them.

Layers of one shape are stacked, whatever their modality; their units are sorted, and so are the layers as a whole,
since the quantiles of a layer do not follow from those of its units. First everything is taken to be finite; only if
the quantiles show that it was not is it done again with care.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nap2.schema import COUNTS, SCALAR_STATISTICS
from nap2.snapshots.moments import Moments, merged, row_moments
from nap2.snapshots.plan import Plan, plan
from nap2.snapshots.sorting import quantiles_and_middle, sort_finite, sort_rows

FLOAT32_MAX = torch.finfo(torch.float32).max
WITHOUT_FLOAT64 = ("mps",)
"""Kinds of devices that cannot compute in float64, whose tensors are read on the CPU."""


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
        modalities: `M` lists of `[units, d]` tensors, one per layer, at least one, of any floating dtype and device.

    Returns:
        float32 `[M, N]`, in the order of `nap2.snapshots.layout`, and int64 `[M, C]`, see `nap2.schema.COUNTS`; both on
        the device of the first layer, or on the CPU where that knows no float64.
    """
    tensors = [rows for modality in modalities for rows in modality]
    flat, by_layer = raw_statistics(tensors)
    values = flat.view(len(modalities), -1)
    saturated = (values.abs() > FLOAT32_MAX).sum(dim=1, keepdim=True)
    counts = by_layer.view(len(modalities), -1, len(COUNTS) - 1).sum(dim=1)
    return values.clamp(-FLOAT32_MAX, FLOAT32_MAX).float(), torch.cat([counts, saturated], dim=1)


@torch.no_grad()
def raw_statistics(tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The statistics before they are rounded to float32.

    Args:
        tensors: one `[units, d]` tensor per layer, at least one.

    Returns:
        float64 `[N]` in the order of `nap2.snapshots.layout`, and int64 `[L, C - 1]`: per layer, the counts without
        that of the saturated statistics.
    """
    tensors = [rows.cpu() if rows.device.type in WITHOUT_FLOAT64 else rows for rows in tensors]
    layout = plan(tuple((rows.device, rows.dtype, rows.shape[0], rows.shape[1]) for rows in tensors))
    blocks = [torch.stack([tensors[layer] for layer in layers]) for layers in layout.blocks]
    scale = None
    if any(block.dtype == torch.float64 for block in blocks):
        scales = [_scale(block) for block in blocks]
        blocks = [block / part[:, None, None] for block, part in zip(blocks, scales, strict=True)]
        scale = torch.cat([part.to(layout.source_layer.device) for part in scales])[layout.source_layer]
    sources, quantiles = _sources(blocks, layout, is_clean=True)
    if not torch.isfinite(quantiles).all():
        sources, quantiles = _sources(blocks, layout, is_clean=False)
    counts = _counts(sources, quantiles, layout)
    scalars = _scalars(sources, quantiles)
    if scale is not None:
        scalars, quantiles = _unscaled(scalars, scale), quantiles * scale[:, None]
    return torch.cat([scalars.flatten(), quantiles.flatten()])[layout.entry_index], counts


def _scale(block: Tensor) -> Tensor:
    """float64 `[K]`: 1, or for float64 layers a power of two near the largest value, so that fourth powers exist.

    (A unit of a float64 layer that is 1e-77 times smaller than the layer's largest value still counts as constant.)
    """
    if block.dtype != torch.float64 or block.numel() == 0:
        return torch.ones(len(block), dtype=torch.float64, device=block.device)
    largest = block.abs().masked_fill(~block.isfinite(), 0).amax(dim=(1, 2))
    return torch.where(largest > 0, largest / (2 * torch.frexp(largest).mantissa), 1.0)


def _sources(blocks: Sequence[Tensor], layout: Plan, is_clean: bool) -> tuple[Moments, Tensor]:
    """Moments `[S]` and quantiles `[S, 5]` of all units and layers."""
    device = layout.source_layer.device
    parts = zip(*(_block_sources(block, is_clean) for block in blocks), strict=True)
    moments, unit_quantiles, middle, layer_quantiles = (
        torch.cat([part.to(device) for part in field], dim=-1) for field in parts
    )
    padded = torch.cat([moments, moments.new_zeros(len(moments), 1)], dim=1)[:, layout.unit_index]  # [7, L, U]
    layers = merged(Moments._make(padded), middle)
    quantiles = torch.cat([unit_quantiles, layer_quantiles], dim=1).T
    return Moments._make(torch.cat([moments, torch.stack(layers)], dim=1)), quantiles


def _block_sources(block: Tensor, is_clean: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`[K, U, d]` → moments `[7, K·U]`, quantiles `[5, K·U]` of units; middle `[K]`, quantiles `[5, K]` of layers."""
    if block.dtype != torch.float64:
        block = block.float()  # exact: half precision widens
    layers, layer_sizes = _sorted(block.flatten(1), is_clean)
    units, unit_sizes = _sorted(block.flatten(0, 1), is_clean)
    layer_quantiles, layer_middle = quantiles_and_middle(layers, layer_sizes)
    unit_quantiles, unit_middle = quantiles_and_middle(units, unit_sizes)
    return row_moments(units, unit_middle, unit_sizes), unit_quantiles.T, layer_middle, layer_quantiles.T


def _sorted(rows: Tensor, is_clean: bool) -> tuple[Tensor, Tensor | None]:
    if rows.shape[1] == 0:
        rows = rows.new_full((len(rows), 1), torch.nan)  # no value at all is as good as no finite one
    return (sort_rows(rows), None) if is_clean else sort_finite(rows)


def _scalars(sources: Moments, quantiles: Tensor) -> Tensor:
    """The scalar statistics, float64 `[11, S]`, in the order of `SCALAR_STATISTICS`."""
    size, variance = sources.size, sources.second
    mean, deviation, varies = sources.middle + sources.mean, variance.sqrt(), variance > 0
    statistics = (
        mean,
        quantiles[:, 2],
        variance,
        deviation,
        quantiles[:, 0],
        quantiles[:, 4],
        torch.where(varies, sources.third / (variance * deviation), 0.0),
        torch.where(varies, sources.fourth / (variance * variance) - 3.0, 0.0),
        variance * (size / (size - 1).clamp(min=1)),
        sources.l1_norm,
        (size * (variance + mean * mean)).sqrt(),
    )
    return torch.stack(statistics)


def _unscaled(scalars: Tensor, scale: Tensor) -> Tensor:
    """Multiply `[11, S]` by the scale of each source, squares by its square, shapes not at all."""
    scaled = scalars * scale
    for name in ("variance", "covariance"):
        scaled[SCALAR_STATISTICS.index(name)] *= scale
    for name in ("skewness", "kurtosis"):
        scaled[SCALAR_STATISTICS.index(name)] = scalars[SCALAR_STATISTICS.index(name)]
    return scaled


def _counts(sources: Moments, quantiles: Tensor, layout: Plan) -> Tensor:
    """int64 `[L, C - 1]`, in the caller's order of layers: non-finite values, constant, single and empty sources."""
    size = sources.size
    is_constant = (quantiles[:, 0] == quantiles[:, 4]) & (size > 1)
    flags = torch.stack([is_constant, size == 1, size == 0], dim=1).long()  # [S, 3]
    num_layers = len(layout.num_values)
    totals = flags.new_zeros(num_layers, flags.shape[1]).index_add_(0, layout.source_layer, flags)
    non_finite = layout.num_values - size[-num_layers:].long()
    return torch.cat([non_finite[:, None], totals], dim=1)[layout.layer_index]
