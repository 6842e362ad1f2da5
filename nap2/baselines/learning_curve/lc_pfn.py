"""LC-PFN (Adriaensen et al. 2023), a small one of our own: a transformer that saw many artificial curves continued.

It answers with a distribution of the accuracy at a later place, given the first ones. It is not the published network,
which has hundreds of times the weights and saw fifty times the curves: `fit_lc_pfn.py` fitted it in minutes of one CPU
core, to curves of the published prior (`lc_pfn_prior.py`).
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nap2.baselines.learning_curve.lc_pfn_prior import NUM_PLACES
from nap2.baselines.learning_curve.observed import Floats
from nap2.baselines.undefined import UndefinedScoreError
from nap2.schema import MAX_SNAPSHOTS

WEIGHTS = Path(__file__).with_suffix(".safetensors")
NUM_CURVES = 200_000
"""Of the prior, that `WEIGHTS` were fitted to."""

MIN_POINTS = 5
"""As the NAP2 paper asks for (its comparison with LC-PFN); the network was not fitted to fewer."""

MAX_POINTS = MAX_SNAPSHOTS
"""What is beyond is not read: the network was not fitted to more."""

NUM_BARS = 100
WIDTH, LAYERS, HEADS = 64, 2, 4


class LcPfn(nn.Module):
    """The first accuracies of a curve, and a place, to the distribution of the accuracy there.

    Each accuracy is a token that attends to those before it, so one pass answers for every length of the beginning.
    The answer is a bar chart: bars between fixed borders, each as likely as the others under the prior.
    """

    borders: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, WIDTH)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 2 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.read = nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.answer = nn.Sequential(nn.Linear(WIDTH + 2, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, NUM_BARS))
        self.register_buffer("borders", torch.linspace(0, 1, NUM_BARS + 1))

    def forward(self, accuracies: Tensor, places: Tensor) -> Tensor:
        """Logarithms of the bars' probabilities.

        Args:
            accuracies: `[B, T]`, at places 1..T.
            places: `[B, T]`, the place that is asked about after each of them.

        Returns:
            `[B, T, bars]`.
        """
        count = accuracies.shape[1]
        own = _coordinates(torch.arange(1.0, count + 1)).expand(len(accuracies), -1, -1)  # [B, T, 2]
        tokens = self.embed(torch.cat([own, 4 * accuracies[..., None] - 2], -1))  # [B, T, D]
        later = torch.ones(count, count, dtype=torch.bool).triu(1)
        read = self.read(tokens, mask=later)
        return torch.log_softmax(self.answer(torch.cat([read, _coordinates(places)], -1)), -1)

    def mean(self, log_probability: Tensor) -> Tensor:
        """Expected accuracy `[...]` of bars `[..., bars]`."""
        return log_probability.exp() @ ((self.borders[1:] + self.borders[:-1]) / 2)


def _coordinates(places: Tensor) -> Tensor:
    """A place as `[..., 2]` numbers about 0, linear and logarithmic."""
    return torch.stack([places / 50 - 1, places.log() - 3], -1)


@lru_cache(maxsize=1)
def fitted() -> LcPfn:
    """The network with its shipped weights."""
    network = LcPfn()
    network.load_state_dict(load_file(WEIGHTS))
    return network.eval()


def expect(accuracies: Floats, end: float) -> float:
    """Expected accuracy at the end of a training, from its beginning.

    Args:
        accuracies: `[T]`, fractions, at places 1..T.
        end: place of the end of the training; beyond 100, where the curves of the prior end, 100.

    Raises:
        UndefinedScoreError: too few points, or one that is not finite.
    """
    if accuracies.size < MIN_POINTS:
        raise UndefinedScoreError(f"{accuracies.size} validation accuracies are fewer than the {MIN_POINTS} to read")
    broken = np.flatnonzero(~np.isfinite(accuracies))
    if broken.size:
        raise UndefinedScoreError(f"the validation accuracy of snapshot {broken[0] + 1} is not finite")
    seen = torch.as_tensor(accuracies[:MAX_POINTS], dtype=torch.float32)[None]
    place = min(max(end, accuracies.size + 1.0), float(NUM_PLACES))
    network = fitted()
    with torch.inference_mode():
        return float(network.mean(network(seen, torch.full_like(seen, place))[0, -1]))
