"""Fit our LC-PFN to curves of the prior: `python -m nap2.baselines.learning_curve.fit_lc_pfn [--curves N] [FILE]`."""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from nap2.baselines.learning_curve.lc_pfn import MAX_POINTS, MIN_POINTS, NUM_BARS, NUM_CURVES, WEIGHTS, LcPfn
from nap2.baselines.learning_curve.lc_pfn_prior import NUM_PLACES, draw_curves
from nap2.seeding import forked_random_state

BATCH = 64
LEARNING_RATE = 1.5e-3
SEED = 0


def fit(num_curves: int, seed: int = SEED, report_every: int = 0) -> LcPfn:
    """A network fitted to so many curves, each seen once, at every length of its beginning.

    Args:
        num_curves: of the prior; whole batches of 64.
        seed: of weights and curves.
        report_every: steps between two lines on the terminal; 0: none.
    """
    draws = np.random.default_rng(seed)
    with forked_random_state(seed):
        network = LcPfn()
    network.borders.copy_(borders(draw_curves(10_000, draws)[1]))
    steps = num_curves // BATCH
    optimizer = Adam(network.parameters(), lr=LEARNING_RATE)
    schedule = CosineAnnealingLR(optimizer, steps)
    for step in range(1, steps + 1):
        loss = surprise(network, torch.as_tensor(draw_curves(BATCH, draws)[1], dtype=torch.float32), draws)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if report_every and step % report_every == 0:
            sys.stdout.write(f"step {step} of {steps}: {loss.item():.3f} nats\n")
            sys.stdout.flush()
    return network.eval()


def borders(values: np.ndarray) -> Tensor:
    """Borders between which lie equally many values; those beyond 0 or 1, where no accuracy lies, count as 0 or 1."""
    return torch.as_tensor(np.quantile(values.clip(0, 1), np.linspace(0, 1, NUM_BARS + 1)), dtype=torch.float32)


def surprise(network: LcPfn, curves: Tensor, draws: np.random.Generator) -> Tensor:
    """Mean of −ln density of what comes later, after each beginning of `MIN_POINTS` to `MAX_POINTS` places.

    Half of the questions are about the last place, the others about any later one.

    Args:
        network: that answers.
        curves: `[B, 100]`.
        draws: of the places that are asked about.
    """
    seen = curves[:, :MAX_POINTS]
    first = np.arange(2, MAX_POINTS + 2)  # after T points any place from T + 1 on
    asked = draws.integers(first, NUM_PLACES + 1, seen.shape)
    asked[draws.uniform(size=seen.shape) < 0.5] = NUM_PLACES
    places = torch.as_tensor(asked)
    later = curves.gather(1, places - 1)  # [B, T]
    inner = network.borders[1:-1].contiguous()  # noise beyond 0 and 1 belongs to the outermost bars
    bar = torch.bucketize(later.contiguous(), inner)
    density = network(seen, places.float()) - network.borders.diff().log()
    mean: Tensor = -density.gather(2, bar[..., None])[:, MIN_POINTS - 1 :].mean()
    return mean


def main() -> None:
    """Fit and write the weights, with what they were fitted to."""
    parser = argparse.ArgumentParser("python -m nap2.baselines.learning_curve.fit_lc_pfn", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--curves", type=int, default=NUM_CURVES, help="of the prior that the network sees")
    asked = parser.parse_args()
    network = fit(asked.curves, report_every=100)
    save_file(network.state_dict(), asked.file, {"curves": str(asked.curves), "seed": str(SEED)})
    sys.stdout.write(f"{asked.file}\n")


if __name__ == "__main__":
    main()
