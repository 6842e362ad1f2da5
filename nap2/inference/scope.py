"""What a predictor was trained on, in numbers, and where a new trajectory lies outside of it.

A predictor extrapolates silently: on deeper networks, other numbers of classes, or gradients of another scale (which
another optimizer brings: paper App. I) it still gives a number. `scope_of` sums up the training trajectories for
`spec.json`; `remarks` compares one trajectory with that.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nap2.errors import counted
from nap2.schema import COUNTS, MAX_LAYERS, MODALITIES, SCALAR_STATISTICS
from nap2.snapshots.layout import num_entries, num_scalar_places
from nap2.snapshots.trajectory import Trajectory

PERCENTILES = (0.01, 0.99)
TOLERANCE = 2.0
"""A scale is remarked on when it leaves the percentiles by more than this factor: 2 of 100 training runs leave them."""
NO_GRADIENTS = (
    "its gradients are zero at every snapshot: nothing reaches its layers, or recorder.step() was not called between "
    "backward and zero_grad"
)
WITHOUT_GRADIENT = 0.8
"""A share of layers without any gradient is remarked on from here: cells with dead edges have up to 0.79."""
UNREAD = 0.1
"""A share of weights that are not read is remarked on from here: embeddings of positions are smaller."""
NOT_READ = (
    "are not read: they lie in no convolution or linear layer (but in transposed convolutions, recurrent layers, "
    "embeddings, or the input projections of attention)"
)
GRADIENTS_ALONE = (
    'modality="gradients" reads gradients alone, whose order the paper found to survive another optimizer (App. I)'
)


@dataclass(frozen=True)
class Remark:
    """One way in which a trajectory is unlike the training runs; `kind` is the same for all remarks of that way."""

    kind: str
    text: str


def scales(trajectory: Trajectory) -> Tensor:
    """How large weights and gradients are.

    Returns:
        float64 `[T, M]`: the median over the layers of log10 of the root mean square of a layer's sampled values.
        Layers of zeros are left out; −inf where every layer is zero.
    """
    size = _sizes(trajectory).log10()
    kept = torch.where(size.isfinite(), size, torch.nan)
    return kept.nanmedian(dim=2).values.nan_to_num(nan=-math.inf)


def _sizes(trajectory: Trajectory) -> Tensor:
    """float64 `[T, M, L]`: the root mean square of each layer's sampled values."""
    starts, start = [], 0
    for units in trajectory.units.tolist():
        starts.append((start, num_scalar_places(units)))
        start += num_entries((units,))
    mean, variance = (
        trajectory.values[:, :, [first + SCALAR_STATISTICS.index(name) * places for first, places in starts]].double()
        for name in ("mean", "variance")
    )
    return (variance.clamp(min=0) + mean.square()).sqrt()


def scope_of(trajectories: Iterable[Trajectory]) -> dict[str, Any]:
    """The ranges of some training runs, as JSON values.

    Args:
        trajectories: at least one; read one after another, so that they need not fit into memory together.

    Returns:
        `num_trajectories`; `num_layers`, `max_units`, `num_classes` as `[least, most]` (None where unknown); and
        `log10_scale`: per modality and snapshot the `[1st, 99th]` percentile of `scales`.
    """
    facts: dict[str, list[int]] = {"num_layers": [], "max_units": [], "num_classes": []}
    seen: list[Tensor] = []
    for trajectory in trajectories:
        for name, value in _facts(trajectory).items():
            facts[name] += [] if value is None else [value]
        seen.append(scales(trajectory))
    return {
        "num_trajectories": len(seen),
        **{name: [min(values), max(values)] if values else None for name, values in facts.items()},
        "log10_scale": {modality: _percentiles(seen, index) for index, modality in enumerate(MODALITIES)},
    }


def remarks(trajectory: Trajectory, scope: Mapping[str, Any], modality: str, has_gradients_alone: bool) -> list[Remark]:
    """Where a trajectory lies outside what the predictor was trained on.

    Args:
        trajectory: of at least one snapshot.
        scope: what `scope_of` returned; empty where the checkpoint has none.
        modality: `both`, or the one that is read.
        has_gradients_alone: whether the predictor could read gradients alone.
    """
    found = _count_remarks(trajectory, scope) if scope else []
    if trajectory.unread is not None and trajectory.unread > UNREAD:
        found.append(Remark("unread", f"{100 * trajectory.unread:.0f} % of its weights {NOT_READ}"))
    read = MODALITIES if modality == "both" else (modality,)
    measured = scales(trajectory)
    for name in read:
        index = MODALITIES.index(name)
        ranges = scope.get("log10_scale", {}).get(name, ())
        remark = _scale_remark(name, measured[:, index].tolist(), ranges)
        if remark and name == "gradients" and modality == "both" and has_gradients_alone:
            remark = Remark(remark.kind, f"{remark.text}; {GRADIENTS_ALONE}")
        found += [remark] if remark else []
    lost = trajectory.counts[..., COUNTS.index("non_finite_values")].sum(0)  # [M]
    if "gradients" in read and not lost[MODALITIES.index("gradients")]:
        found += _gradient_remarks(trajectory)
    if num_lost := int(lost.sum()):
        text = f"{num_lost} of its weights or gradients were not finite and were left out; did the training diverge?"
        found.append(Remark("non_finite", text))
    return found


def _gradient_remarks(trajectory: Trajectory) -> list[Remark]:
    has_none = (_sizes(trajectory)[:, MODALITIES.index("gradients")] == 0).all(0)  # [L]
    num_without, num_layers = int(has_none.sum()), len(has_none)
    if num_without == num_layers:
        return [Remark("no_gradients", NO_GRADIENTS)]
    if num_without < WITHOUT_GRADIENT * num_layers:
        return []
    text = f"{num_without} of its {num_layers} layers have no gradient (frozen, or cut off), so zeros are read there"
    return [Remark("without_gradient", text)]


def _facts(trajectory: Trajectory) -> dict[str, int | None]:
    units = trajectory.units.tolist()
    num_layers = trajectory.num_layers
    if num_layers is None and len(units) < MAX_LAYERS:
        num_layers = len(units)
    is_whole = num_layers == len(units)  # otherwise the last recorded layer is not the classifier
    return {"num_layers": num_layers, "max_units": max(units), "num_classes": units[-1] if is_whole else None}


NOUNS = {
    "num_layers": ("convolution or linear layer", "convolutions and linear layers"),
    "max_units": ("unit in its widest layer", "units in its widest layer"),
    "num_classes": ("unit in the layer defined last", "units in the layer defined last"),
}


def _count_remarks(trajectory: Trajectory, scope: Mapping[str, Any]) -> list[Remark]:
    found = []
    for kind, value in _facts(trajectory).items():
        if value is None or scope.get(kind) is None:
            continue
        least, most = scope[kind]
        if least <= value <= most:
            continue
        span = f"{least}" if least == most else f"{least} to {most}"
        beyond = f"; only the first {MAX_LAYERS} are read" if kind == "num_layers" and value > MAX_LAYERS else ""
        text = (
            f"it has {counted(value, *NOUNS[kind])}, the networks that the predictor was trained on had {span}{beyond}"
        )
        found.append(Remark(kind, text))
    return found


def _scale_remark(name: str, measured: list[float], ranges: Iterable[tuple[float, float]]) -> Remark | None:
    """The snapshot that is farthest outside, if one is beyond the tolerance."""
    worst, text = math.log10(TOLERANCE), ""
    for snapshot, (value, (low, high)) in enumerate(zip(measured, ranges, strict=False), 1):
        outside = max(low - value, value - high)
        if outside > worst:
            worst = outside
            text = (
                f"the scale of its {name} (median root mean square of a layer) is {10**value:.2g} at snapshot "
                f"{snapshot}, the predictor was trained on {10**low:.2g} to {10**high:.2g}"
            )
    return Remark(f"{name}_scale", text) if text else None


def _percentiles(seen: list[Tensor], modality: int) -> list[list[float]]:
    ranges = []
    for snapshot in range(max(map(len, seen))):
        values = torch.stack([scale[snapshot, modality] for scale in seen if len(scale) > snapshot])
        values = values[values.isfinite()]
        if not len(values):
            break
        ranges.append([round(float(v), 4) for v in values.quantile(values.new_tensor(PERCENTILES))])
    return ranges
