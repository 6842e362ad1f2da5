"""Trajectories, budgets and specs that a predictor cannot read, refused in one line each."""

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, SupportsIndex

from nap2.errors import CheckpointError, kind_of
from nap2.snapshots.trajectory import Trajectory


def check_fits(trajectory: object, every: int, num_snapshots: int) -> None:
    """Refuse what is no trajectory, one of another interval or length, or without a number in every place.

    Raises:
        CheckpointError: if it has not one snapshot every `every` steps, or not 1 to `num_snapshots` of them, or a value
            that is not finite (which no recorder makes).
    """
    if not isinstance(trajectory, Trajectory):
        raise CheckpointError(
            f"A predictor reads a Trajectory, not {kind_of(trajectory)}; pass recorder.trajectory(), or what "
            "Trajectory.load returns."
        )
    if trajectory.every != every:
        raise CheckpointError(
            f"This predictor reads a snapshot every {every} steps, the trajectory has one every "
            f"{trajectory.every}; record it with every={every}."
        )
    if not 1 <= len(trajectory) <= num_snapshots:
        raise CheckpointError(
            f"This predictor reads 1 to {num_snapshots} snapshots, the trajectory holds {len(trajectory)}; "
            f"pass trajectory.first({num_snapshots}) or record at least one."
        )
    if not trajectory.values.isfinite().all():
        raise CheckpointError(
            "The trajectory holds values that are not finite; record it again, or copy its file again."
        )


def check_budget(query_batches: SupportsIndex, every: int, num_snapshots: int) -> int:
    """The number of mini-batches, unless it does not end with a snapshot: what comes after the last one is not read.

    Raises:
        CheckpointError: if it is not `every` times 1 to `num_snapshots`.
    """
    steps = f"{every} to {every * num_snapshots} in steps of {every}" if num_snapshots > 1 else f"{every}"
    try:
        asked = operator.index(query_batches)
    except TypeError as error:
        raise CheckpointError(
            f"Asked to rank after {query_batches!r} mini-batches, no whole number; this predictor reads {steps}."
        ) from error
    count, rest = divmod(asked, every)
    if rest or not 1 <= count <= num_snapshots:
        raise CheckpointError(
            f"Asked to rank after {asked} mini-batches, but this predictor reads {steps}; "
            f"use query_batches={every * min(max(count, 1), num_snapshots)}."
        )
    return asked


def check_seed(seed: object) -> int:
    """The seed, if it is one: with another value each network would draw from whatever state the process is in.

    Raises:
        CheckpointError: if it is no whole number of 64 bits.
    """
    try:
        asked = operator.index(seed)  # type: ignore[arg-type]  # what is no whole number raises
    except TypeError:
        asked = 2**64
    if not -(2**63) <= asked < 2**64:
        raise CheckpointError(f"Asked to rank with seed={seed!r}; give a whole number of at most 64 bits, like 0.")
    return asked


def check_spec(spec: Mapping[str, Any]) -> None:
    """Refuse a spec that was edited by hand into something else.

    Raises:
        CheckpointError: if it lacks the interval or the number of snapshots, or one of its parts has another form.
    """
    for key, (is_fitting, form) in FORMS.items():
        is_needed = key in ("every", "num_snapshots")
        if (is_needed or key in spec) and not is_fitting(spec.get(key)):
            raise CheckpointError(f"The spec of a predictor needs {key!r}, {form}, and holds {spec.get(key)!r:.60}.")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_range(value: object) -> bool:
    is_pair = isinstance(value, (list, tuple)) and len(value) == 2
    return is_pair and all(isinstance(end, (int, float)) for end in value)  # type: ignore[attr-defined]  # a pair


def _are_encoders(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(entry, Mapping) and isinstance(entry.get("kind", ""), str) for entry in value.values()
    )


def _are_heads(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(entry, Mapping) for entry in value)


def _is_setting(value: object) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("recipe") or {}, Mapping)


def _is_union(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_scope(value: object) -> bool:
    if not isinstance(value, Mapping) or not isinstance(value.get("log10_scale", {}), Mapping):
        return False
    counts = [value.get(name) for name in ("num_layers", "max_units", "num_classes")]
    series = value.get("log10_scale", {}).values()
    return all(count is None or _is_range(count) for count in counts) and all(
        isinstance(ranges, (list, tuple)) and all(map(_is_range, ranges)) for ranges in series
    )


FORMS: Mapping[str, tuple[Callable[[object], bool], str]] = MappingProxyType(
    {
        "every": (_is_count, "a whole number from 1"),
        "num_snapshots": (_is_count, "a whole number from 1"),
        "encoders": (_are_encoders, "an object with a kind for each modality"),
        "heads": (_are_heads, "a list of objects with component and modality"),
        "union": (_is_union, "an object of further datasets"),
        "setting": (_is_setting, "an object that says how its candidates were trained"),
        "scope": (_is_scope, "an object of ranges [least, most]"),
    }
)
"""What the parts of a spec look like; the first two are needed."""
