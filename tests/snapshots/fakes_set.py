"""Candidates whose statistics are those of real tensors; rounding and derivation of a set in slow plain Python."""

import hashlib
import math

import numpy as np
import torch
from fakes_store import candidate, curve, setting

from nap2.schema import SCALAR_STATISTICS
from nap2.snapshots.statistics import modality_statistics
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.trajectory import Trajectory

SHAPES = ((16, 27), (120, 9), (32, 144), (1, 40), (10, 64), (3, 1))  # units and fan-in of each layer
UNITS = tuple(units for units, _ in SHAPES)
NAMES = tuple(f"layer.{i}" for i in range(len(SHAPES)))


def tensors(seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return [scale * (torch.randn(min(u, 99), d, generator=generator) + 0.01) for u, d in SHAPES]


def trajectory(seed=0, num_snapshots=1, change=lambda layers: None):
    """Snapshots of random weights and small gradients; layer 4 is dead and a unit of layer 0 constant."""
    values, counts = [], []
    for k in range(num_snapshots):
        weights, gradients = tensors(seed + 1000 * k), tensors(seed + 1000 * k + 500, scale=1e-4)
        gradients[4].zero_()
        weights[0][3] = 0.25
        change(gradients)
        found, counted = modality_statistics([weights, gradients])
        values.append(found)
        counts.append(counted)
    return Trajectory(torch.stack(values), torch.tensor(UNITS), 10, torch.stack(counts), NAMES)


def store(root, *candidates):
    """A store of `(seed, trajectory)` or `(seed, trajectory, final accuracy)`."""
    made = SnapshotStore.create(root, setting())
    for seed, snapshots, *final in candidates:
        with made.claim(candidate(seed), len(snapshots), bool(final)) as writer:
            writer.finish(snapshots, curve(len(snapshots), *final))
    return made


def filled(root, seeds, num_snapshots=1):
    return store(root, *((seed, trajectory(seed, num_snapshots)) for seed in seeds))


def round_slowly(value, bits):
    """To nearest, ties to even, by Python's own rounding of the fraction."""
    if value == 0 or not math.isfinite(value):
        return value
    fraction, exponent = math.frexp(value)  # 0.5 <= |fraction| < 1: one bit before the `bits` of the mantissa
    return math.ldexp(round(fraction * 2 ** (bits + 1)), exponent - bits - 1)


def expected(values, bits):
    """One flat map `[N]` after release: loops over layers and sources, true fan-in, Python floats."""
    values, result, start = values.tolist(), [], 0
    for units, fan_in in SHAPES:
        sampled = min(units, 99)
        count = 1 + sampled
        columns = {
            name: values[start + i * count : start + (i + 1) * count] for i, name in enumerate(SCALAR_STATISTICS)
        }
        start += len(SCALAR_STATISTICS) * count
        columns = {name: [round_slowly(v, bits) for v in column] for name, column in columns.items()}
        sizes = [fan_in * sampled] + [fan_in] * sampled
        for i, (d, mean, variance) in enumerate(zip(sizes, columns["mean"], columns["variance"], strict=True)):
            columns["std"][i] = math.sqrt(variance)
            columns["covariance"][i] = variance * d / (d - 1) if d > 1 else 0.0
            columns["l2_norm"][i] = math.sqrt(d * (variance + mean**2))
        for name in SCALAR_STATISTICS:
            result += columns[name]
        for source in range(1 + min(units, 19)):
            quintuple = values[start : start + 5]
            start += 5
            low, middle, high = (columns[name][source] for name in ("minimum", "median", "maximum"))
            result += [low, round_slowly(quintuple[1], bits), middle, round_slowly(quintuple[3], bits), high]
    return np.array(result)


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
