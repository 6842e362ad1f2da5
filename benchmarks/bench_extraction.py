"""Taking a snapshot: against per-unit NumPy/SciPy code, as a share of training, and how exact it is."""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.harness import Measurement, at_most, paired, share
from benchmarks.references.extraction_extended import skewness_and_kurtosis
from benchmarks.references.extraction_naive import naive_snapshot
from nap2.feature_maps import encoder_input
from nap2.schema import SCALAR_STATISTICS
from nap2.seeding import make_deterministic
from nap2.snapshots.layers import gradient_rows, recorded_layers, sampled_rows
from nap2.snapshots.layout import num_entries, num_scalar_places
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.snapshots.statistics import raw_statistics
from nap2.spaces import SPACES
from nap2.training.layout import memory_format

CONV = "nor_conv_3x3"
HEAVIEST = f"|{CONV}~0|+|{CONV}~0|{CONV}~1|+|{CONV}~0|{CONV}~1|{CONV}~2|"
DEMO = {"stem_channels": 8, "cells_per_stage": 1}
FULL = {"stem_channels": 16, "cells_per_stage": 5}


def measurements(quick: bool) -> list[Measurement]:
    """All rows; the quick ones leave out training the full network."""
    rounds = 3 if quick else 5
    demo, full = _network(DEMO), _network(FULL)
    rows = [
        _against_naive("snapshot, heaviest NB-201 network (C=16, N=5)", full, rounds, goal=60, stretch=200),
        _against_naive("snapshot, heaviest demo network (C=8, N=1)", demo, rounds, goal=40, stretch=190),
        share_of_training("snapshot in 100 steps, demo (8×8, batch 64), CPU", DEMO, (64, 8), 7, goal=2.0, stretch=0.5),
        _shape_error("skewness and kurtosis, network as initialised", _rows_of(full)),
        _shape_error("skewness and kurtosis, heavy-tailed gradients of rms 1e-12", _heavy_tails(_rows_of(full))),
        _padding_rate(full),
    ]
    if not quick:
        name = "snapshot in 100 steps, full network (32×32, batch 256), CPU"
        rows.append(share_of_training(name, FULL, (256, 32), 3, goal=0.05, stretch=0.01))
    return rows


def _network(skeleton: dict[str, int], device: str = "cpu") -> nn.Module:
    torch.manual_seed(0)
    network = SPACES["nasbench201"].build(HEAVIEST, num_classes=10, **skeleton).to(device)
    _training_step(network, 8, 32)()
    return network


def _training_step(network: nn.Module, batch: int, side: int) -> Callable[[], None]:
    device = next(network.parameters()).device
    inputs, targets = torch.randn(batch, 3, side, side, device=device), torch.arange(batch, device=device) % 10
    layout = memory_format(device)
    network.to(memory_format=layout)  # type: ignore[call-overload]  # missing from torch's stubs
    inputs = inputs.contiguous(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(network(inputs), targets).backward()
        optimizer.step()

    return step


def _snapshot(network: nn.Module) -> Callable[[], object]:
    recorder = SnapshotRecorder(network, every=1, limit=1_000_000)
    return recorder.step


def _against_naive(row: str, network: nn.Module, rounds: int, goal: float, stretch: float) -> Measurement:
    times = paired(_snapshot(network), lambda: naive_snapshot(network), rounds=rounds)
    return Measurement(row, *times, goal=goal, stretch=stretch, note="reference: per unit, NaN-aware NumPy and SciPy")


def share_of_training(
    row: str,
    skeleton: dict[str, int],
    batch_and_side: tuple[int, int],
    rounds: int,
    goal: float,
    stretch: float,
    device: str = "cpu",
) -> Measurement:
    """What one snapshot takes of 100 training steps, in per cent."""
    make_deterministic()
    network = _network(skeleton, device)
    clock = time.process_time if device == "cpu" else synchronised_clock
    ours, one_step = paired(_snapshot(network), _training_step(network, *batch_and_side), rounds=rounds, clock=clock)
    hundred_steps = [100 * seconds for seconds in one_step]
    layout = "channels-last" if memory_format(device) is torch.channels_last else "contiguous"
    return share(row, ours, hundred_steps, goal, stretch=stretch, unit="%", note=f"{layout} SGD steps on one thread")


def synchronised_clock() -> float:
    """Seconds, after the GPU has done what it was given."""
    torch.cuda.synchronize()
    return time.perf_counter()


def _rows_of(network: nn.Module) -> list[Tensor]:
    layers = recorded_layers(network)
    return [sampled_rows(layer.weight) for layer in layers] + [gradient_rows(layer) for layer in layers]


def _heavy_tails(rows: list[Tensor]) -> list[Tensor]:
    random = np.random.default_rng(0)
    return [torch.from_numpy(1e-12 * random.standard_t(4, tuple(part.shape))).float() for part in rows]


def _shape_error(row: str, rows: list[Tensor]) -> Measurement:
    flat, _ = raw_statistics(rows)
    worst, start = 0.0, 0
    first = SCALAR_STATISTICS.index("skewness")
    for part in rows:
        places = num_scalar_places(len(part))
        found = flat[start + first * places : start + (first + 2) * places].view(2, places).numpy()
        worst = max(worst, float(np.abs(found - skewness_and_kurtosis(part.double().numpy())).max()))
        start += num_entries([len(part)])
    return at_most(row, worst, goal=1e-10, unit="absolute error", note="before rounding to float32; 80-bit reference")


def _padding_rate(network: nn.Module) -> Measurement:
    recorder = SnapshotRecorder(network, every=1)
    recorder.step()
    trajectory = recorder.trajectory()
    values = trajectory.values[0, :1].repeat(32, 1)
    fast, slow = paired(
        lambda: encoder_input(values, trajectory.units), lambda: _plain_maps(values, trajectory.units.tolist())
    )
    return Measurement(
        "maps padded and log-normalised for an encoder, batch 32, fullest network",
        fast,
        slow,
        goal=3000,
        unit="maps/s",
        value=32 / median(fast),
        note=f"{median(slow) / median(fast):.1f}× a loop over maps, layers and statistics",
    )


def _plain_maps(values: Tensor, units: list[int]) -> Tensor:
    maps = torch.zeros(len(values), 65, 100, 12)
    for index, flat in enumerate(values):
        start = 0
        for layer, layer_units in enumerate(units):
            for statistic in range(12):
                places = 1 + min(layer_units, 99) if statistic < 11 else 5 * (1 + min(layer_units, 19))
                maps[index, layer, :places, statistic] = flat[start : start + places]
                start += places
    maps = maps.permute(0, 3, 1, 2).contiguous()
    return maps.sign() * torch.log(1 + maps.abs())
