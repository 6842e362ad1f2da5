"""Ragged values → zero-padded maps: raw `[L, V, F]`, or log-normalised `[F, L, V]` for the encoder (App. B.6)."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from nap2.errors import FeatureMapError
from nap2.schema import MAP_SHAPE, MAX_LAYERS, MAX_VALUES, NUM_STATISTICS
from nap2.snapshots.layout import CACHED, dense_index

PLACES = MAX_LAYERS * MAX_VALUES * NUM_STATISTICS


def log_normalise(values: Tensor) -> Tensor:
    """`sign(x) · log(1 + |x|)`, elementwise, in the dtype of `values`."""
    return values.abs().log1p_().copysign_(values)


def dense_maps(values: Tensor, units: Sequence[int] | Tensor) -> Tensor:
    """Pad ragged maps of one network with zeros.

    Args:
        values: `[..., N]` in the order of `nap2.snapshots.layout`.
        units: output units of each recorded layer, before sampling.

    Returns:
        `[..., 65, 100, 12]`, raw, of the same dtype and device.

    Raises:
        FeatureMapError: if there are more than 65 layers, or N is not what these units fill.
    """
    index = _checked_index(values, units, encoder_order=False)
    dense = values.new_zeros(values.shape[:-1].numel(), PLACES)
    _scatter(dense, index, values.reshape(-1, len(index)))
    return dense.view(*values.shape[:-1], *MAP_SHAPE)


def encoder_input(values: Tensor, units: Sequence[int] | Tensor) -> Tensor:
    """Log-normalise ragged maps of one network and pad them with zeros, channels first.

    Args:
        values: raw `[B, N]` in the order of `nap2.snapshots.layout`.
        units: output units of each recorded layer, before sampling.

    Returns:
        `[B, 12, 65, 100]`, of the same dtype and device; padding stays exactly 0.

    Raises:
        FeatureMapError: if there are more than 65 layers, or N is not what these units fill.
    """
    index = _checked_index(values, units, encoder_order=True)
    maps = values.new_zeros(len(values), NUM_STATISTICS, MAX_LAYERS, MAX_VALUES)
    _scatter(maps.view(len(values), PLACES), index, log_normalise(values))
    return maps


def _scatter(dense: Tensor, index: Tensor, values: Tensor) -> None:
    dense.scatter_(1, index.expand(len(dense), -1), values)  # no place occurs twice


def _checked_index(values: Tensor, units: Sequence[int] | Tensor, encoder_order: bool) -> Tensor:
    layer_units = tuple(units.tolist() if isinstance(units, Tensor) else units)
    if len(layer_units) > MAX_LAYERS:
        raise FeatureMapError(f"A feature map holds {MAX_LAYERS} layers, not {len(layer_units)}; keep the first ones.")
    index = _place_index(layer_units, encoder_order, values.device)
    if values.shape[-1] != len(index):
        raise FeatureMapError(
            f"{len(layer_units)} layers of these units fill {len(index)} places, but {values.shape[-1]} values were "
            "given; pass the values and units of the same network."
        )
    return index


@lru_cache(maxsize=CACHED)
def _place_index(units: tuple[int, ...], encoder_order: bool, device: torch.device) -> Tensor:
    """int64 `[N]`: the place of each value in the flattened `[L, V, F]` (or `[F, L, V]`) map."""
    index = dense_index(units)
    if encoder_order:
        place, statistic = index // NUM_STATISTICS, index % NUM_STATISTICS
        index = statistic * (MAX_LAYERS * MAX_VALUES) + place
    return index.to(device)
