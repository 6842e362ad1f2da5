"""How many mantissa bits a released snapshot needs: bytes, errors, and what a ranking makes of the rounding.

python -m benchmarks.rounding_study --store stores/nb201_cifar10      measure on real candidates, keep, write the page
python -m benchmarks.rounding_study --page                            only write the page from the kept figures

Every width goes through the real codec. The rankings are made by functions that are fitted once, on exact maps of one
half of the candidates, and then shown exact and rounded maps of the other half: principal components of the maps, or an
untrained CAE encoder of fixed seed, each followed by ridge regression on our own validation accuracy at the last
snapshot.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau
from torch import Tensor

from benchmarks.results_files import ROOT, machine
from nap2.feature_maps import log_normalise
from nap2.models.cae import Encoder
from nap2.models.encode import encode_trajectories
from nap2.schema import MAP_SHAPE, MODALITIES
from nap2.snapshots.candidate_folder import CandidateRecord
from nap2.snapshots.layout import dense_index
from nap2.snapshots.reader import open_snapshots
from nap2.snapshots.released.packing import pack, unpack
from nap2.snapshots.released.planes import MANTISSA_BITS
from nap2.snapshots.stored_candidate import StoredCandidate
from nap2.stages.command.marked import write_between

RESULT = ROOT / "benchmarks" / "studies" / "rounding.json"
PAGE = ROOT / "checkpoints" / "snapshots" / "README.md"
BEGIN, END = "<!-- rounding: written by python -m benchmarks.rounding_study -->", "<!-- end of rounding -->"
WIDTHS = (2, 3, 4, 5, 6, 7, 8, 10, 12, MANTISSA_BITS)
HALVES = 20  # random halves of the candidates
COMPONENTS, PENALTY = 8, 1.0

Features = dict[str, np.ndarray[Any, np.dtype[np.float64]]]
Ranking = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


def main() -> int:
    """Measure, keep, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a snapshot store (not a released set: that is rounded already)")
    parser.add_argument("--candidates", type=int, default=200, help="at most so many (default 200)")
    parser.add_argument("--page", action="store_true", help="only write the page")
    arguments = parser.parse_args()
    if not arguments.page:
        if arguments.store is None:
            parser.error("give --store, or --page")
        torch.set_num_threads(1)
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(study(arguments.store, arguments.candidates), indent=1) + "\n")
    write_page(json.loads(RESULT.read_text()))
    print(f"{RESULT}\n{PAGE}")
    return 0


def study(root: Path, at_most: int) -> dict[str, Any]:
    """All figures, ready for JSON."""
    store = open_snapshots(root)
    records = [store.record(i) for i in list(store.complete())[:at_most]]
    target = np.array([record.arrays["snapshot_accuracy"][-1] for record in records], dtype=np.float64)
    exact = features(records)
    halves = [np.random.default_rng(seed).permutation(len(records)) for seed in range(HALVES)]
    rows = []
    for bits in WIDTHS:
        blobs = [pack(record, bits) for record in records]
        again = [unpack(blob, store.setting, "") for blob in blobs]
        row: dict[str, Any] = {
            "bits": bits,
            "kilobytes": float(np.mean([len(blob) for blob in blobs])) / 1e3,
            "relative_error": max(relative_error(a, b) for a, b in zip(records, again, strict=True)),
        }
        rounded = features(again)
        for name in exact:
            row[name] = agreement(exact[name], rounded[name], target, halves, whiten=name == "components")
        rows.append(row)
    setting = store.setting
    about = {
        "space": setting.space,
        "dataset": setting.dataset,
        "recipe": setting.recipe["name"],
        "every": setting.every,
    }
    raw = float(np.mean([record.arrays["values"].nbytes for record in records])) / 1e3
    return {"setting": about, "candidates": len(records), "raw_kilobytes": raw, "machine": machine(), "rows": rows}


def relative_error(exact: CandidateRecord, again: CandidateRecord) -> float:
    """Largest |difference| / |value| of all statistics, derived ones included; a lost zero counts as infinite."""
    values = exact.arrays["values"].astype(np.float64)
    difference = np.abs(again.arrays["values"] - values)
    if (difference[values == 0] > 0).any():
        return float("inf")
    return float(np.max(difference / np.where(values == 0, 1.0, np.abs(values))))


def features(records: Sequence[CandidateRecord]) -> Features:
    """What the rankings see: `[A, 256]` of the untrained encoder, and the flattened maps of both modalities."""
    trajectories = [StoredCandidate.of(record).trajectory for record in records]
    encoders = []
    for seed in range(len(MODALITIES)):
        torch.manual_seed(seed)
        encoders.append(Encoder().eval())
    encoded = encode_trajectories(encoders[0], encoders[1], trajectories)
    last = torch.stack([one[-1] for one in encoded]).double().numpy()
    maps = np.stack([_dense(t.values[-1], t.units.tolist()) for t in trajectories])
    return {"encoder": last, "components": maps}


def agreement(
    exact: np.ndarray[Any, Any],
    rounded: np.ndarray[Any, Any],
    target: np.ndarray[Any, Any],
    halves: Sequence[np.ndarray[Any, Any]],
    whiten: bool,
) -> dict[str, float]:
    """τ between predictions from exact and from rounded maps, and the largest shift of one prediction.

    Returns:
        `tau`: mean over the halves; `tau_min`: the smallest; `shift`: largest |change| over the standard deviation of
        the predictions; `tau_target_exact`, `tau_target_rounded`: mean τ with our own validation accuracy.
    """
    taus, shifts, before, after = [], [], [], []
    for order in halves:
        fitted, held_out = order[: len(order) // 2], order[len(order) // 2 :]
        rank = _fitted(exact[fitted], target[fitted], whiten)
        one, other = rank(exact[held_out]), rank(rounded[held_out])
        taus.append(kendalltau(one, other).statistic)
        shifts.append(np.abs(one - other).max() / one.std())
        before.append(kendalltau(one, target[held_out]).statistic)
        after.append(kendalltau(other, target[held_out]).statistic)
    return {
        "tau": float(np.mean(taus)),
        "tau_min": float(np.min(taus)),
        "shift": float(np.max(shifts)),
        "tau_target_exact": float(np.mean(before)),
        "tau_target_rounded": float(np.mean(after)),
    }


def _fitted(seen: np.ndarray[Any, Any], target: np.ndarray[Any, Any], whiten: bool) -> Ranking:
    """Ridge regression on standardised features, or on the first principal components of unit variance."""
    mean = seen.mean(0)
    if whiten:
        _, deviations, directions = np.linalg.svd(seen - mean, full_matrices=False)
        count = min(COMPONENTS, len(seen) - 1)
        project = (directions[:count] / deviations[:count, None]).T * len(seen) ** 0.5
    else:
        deviation = seen.std(0)
        project = np.diag(np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0))
    inputs = (seen - mean) @ project
    gram = inputs.T @ inputs + PENALTY * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, inputs.T @ (target - target.mean()))
    return lambda shown: ((shown - mean) @ project) @ weights + target.mean()


def _dense(values: Tensor, units: list[int]) -> np.ndarray[Any, Any]:
    """Float64 `[M · L · V · F]`: both log-normalised maps of one snapshot."""
    dense = torch.zeros(len(MODALITIES), int(np.prod(MAP_SHAPE)), dtype=torch.float64)
    dense[:, dense_index(tuple(units))] = log_normalise(values).double()
    return dense.flatten().numpy()


def write_page(result: dict[str, Any]) -> None:
    """Put the table between the two marks of the page."""
    write_between(PAGE, BEGIN, END, section(result))


def section(result: dict[str, Any]) -> str:
    """The table in Markdown."""
    about = ", ".join(f"{key} {value}" for key, value in result["setting"].items())
    lines = [
        f"{result['candidates']} real candidates ({about}); {result['raw_kilobytes']:.0f} kB each as raw float32.",
        "τ: Kendall's τ between what a ranking says of exact and of rounded maps, mean over "
        f"{HALVES} random halves (smallest);",
        "shift: the largest change of a prediction, in standard deviations of the predictions;",
        "τ to accuracy: with our own validation accuracy, exact → rounded.",
        "",
        "| bits | kB | largest relative error | PCA + ridge: τ | shift | τ to accuracy | encoder + ridge: τ | shift | "
        "τ to accuracy |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        cells = [str(row["bits"]), f"{row['kilobytes']:.1f}", f"{row['relative_error']:.1e}"]
        for name in ("components", "encoder"):
            one = row[name]
            cells += [
                f"{one['tau']:.4f} ({one['tau_min']:.3f})",
                f"{one['shift']:.1e}",
                f"{one['tau_target_exact']:.3f} → {one['tau_target_rounded']:.3f}",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
