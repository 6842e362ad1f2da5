"""Scores that exist only over a pool of networks: votes, rank fusions, and combinations fitted to a sample.

All take arrays `[A]` of single scores, with NaN where a network has none, and return an array `[A]`, larger is
better, with NaN where nothing can be said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata, spearmanr

from nap2.baselines.zero_cost.registry import PROXIES
from nap2.errors import EvaluationError

Array = NDArray[np.float64]
ROWS_AT_ONCE = 256  # networks whose duels are held at a time: all duels of 15,625 networks would be 2 GB
LIBRA_BINS = 5  # of the ranks, where information is counted
LIBRA_SHARE = 0.9  # of the best correlation that a partner must reach; see docs/decisions.md
LIBRA_SIZE = "params"  # what a bias is a bias towards


@dataclass(frozen=True, slots=True)
class PoolScore:
    """A score over a pool of networks.

    Attributes:
        name: key in `POOL_SCORES`.
        definition: one line that says what is computed.
        members: the single scores that are combined; empty if any may be.
        fuse: from `{proxy: [A]}` and, if `needs_accuracy`, accuracies `[A]` (NaN where unknown) to `[A]`.
        needs_accuracy: whether it is fitted to a sample of known accuracies.
        source: what it follows.
    """

    name: str
    definition: str
    members: tuple[str, ...]
    fuse: Callable[..., Array]
    needs_accuracy: bool
    source: str


def pool_score(name: str, scores: Mapping[str, Array], accuracy: Array | None = None) -> Array:
    """One of `POOL_SCORES`, for scores that hold at least its members; larger is better."""
    record = POOL_SCORES[name]
    missing = [member for member in record.members if member not in scores]
    if missing:
        raise EvaluationError(
            f"{name} combines {', '.join(record.members)}; no scores given for {', '.join(missing)}: give theirs too."
        )
    if not record.needs_accuracy:
        return record.fuse({member: scores[member] for member in record.members})
    if accuracy is None:
        raise EvaluationError(f"{name} is fitted to a sample of accuracies; give an array with NaN where unknown.")
    return record.fuse(scores, accuracy)


def copeland(scores: Mapping[str, Array]) -> Array:
    """Pairwise majority votes: duels won minus duels lost, as a share of the duels fought.

    A member without a score for one of two networks abstains; a network that no member scored has NaN.
    """
    columns = np.stack(list(oriented(scores).values()))  # [members, A]
    known = np.isfinite(columns).any(axis=0)
    wins = [_duels_won(columns, slice(start, start + ROWS_AT_ONCE)) for start in range(0, known.size, ROWS_AT_ONCE)]
    return np.where(known, np.concatenate([*wins, np.empty(0)]) / max(1, int(known.sum()) - 1), np.nan)


def _duels_won(columns: Array, rows: slice) -> Array:
    """Duels won minus duels lost of some networks against all, `[rows]`, from columns `[members, A]`."""
    votes = sum(np.nan_to_num(np.sign(column[rows, None] - column[None, :])) for column in columns)
    return np.asarray(np.sign(votes).sum(1), dtype=np.float64)


def log_ranks(scores: Mapping[str, Array]) -> Array:
    """Sum over members of log(rank / A), the best network having rank A; NaN where a member is missing."""
    return np.asarray(sum(np.log(_ranks(column)) for column in oriented(scores).values()), dtype=np.float64)


def rank_sum(scores: Mapping[str, Array]) -> Array:
    """Sum over members of rank / A, the best network having rank A; NaN where a member is missing."""
    return np.asarray(sum(_ranks(column) for column in oriented(scores).values()), dtype=np.float64)


def libra(scores: Mapping[str, Array], accuracy: Array) -> Array:
    """The rank sum of the members that `libra_members` picks for the sample with known accuracies."""
    columns = oriented(scores)
    signs = {name: np.sign(_tau(columns[name], accuracy)) or 1.0 for name in libra_members(scores, accuracy)}
    return np.asarray(sum(_ranks(sign * columns[name]) for name, sign in signs.items()), dtype=np.float64)


def libra_members(scores: Mapping[str, Array], accuracy: Array) -> tuple[str, ...]:
    """Pick up to three proxies for a benchmark sample.

    First the one with the largest |τ|. Second, among those with at least `LIBRA_SHARE` of it, the one that shares
    the least information with the first. Third, of the rest, the one whose bias (its correlation with the number of
    parameters) is closest to that of the accuracy.
    """
    columns = {name: c for name, c in oriented(scores).items() if np.isfinite(c[np.isfinite(accuracy)]).sum() > 2}
    if np.isfinite(accuracy).sum() < 3 or not columns:
        raise EvaluationError(
            "libra is fitted to known accuracies; fewer than 3 networks have one and scores: give more."
        )
    taus = {name: abs(_tau(column, accuracy)) for name, column in columns.items()}
    first = max(taus, key=lambda name: taus[name])
    able = [name for name in columns if name != first and taus[name] >= LIBRA_SHARE * taus[first]]
    sample = np.isfinite(accuracy)
    picked = [first]
    if able:
        base = columns[first][sample]
        picked.append(min(able, key=lambda name: shared_information(columns[name][sample], base)))
    if LIBRA_SIZE in scores and len(able) > 1:
        size = np.where(sample, scores[LIBRA_SIZE], np.nan)
        bias = _rho(accuracy, size)
        rest = [name for name in able if name not in picked]
        picked.append(min(rest, key=lambda name: abs(_rho(columns[name], size) - bias)))
    return tuple(picked)


def shared_information(left: Array, right: Array) -> float:
    """Mutual information of two scores in nats, from the joint counts of their ranks in `LIBRA_BINS` bins."""
    both = np.isfinite(left) & np.isfinite(right)
    bins = [np.ceil(_ranks(column[both]) * LIBRA_BINS).astype(int) - 1 for column in (left, right)]
    joint = np.zeros((LIBRA_BINS, LIBRA_BINS))
    np.add.at(joint, tuple(bins), 1.0 / max(1, int(both.sum())))
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())


def oriented(scores: Mapping[str, Array]) -> dict[str, Array]:
    """Float64 columns, negated where `PROXIES` says that lower is better; infinities count as missing."""
    columns = {}
    for name, values in scores.items():
        column = np.asarray(values, dtype=np.float64)
        sign = -1.0 if name in PROXIES and not PROXIES[name].higher_is_better else 1.0
        columns[name] = np.where(np.isfinite(column), sign * column, np.nan)
    return columns


def _ranks(column: Array) -> Array:
    """Average ranks over the scores that exist, as shares of their number: in (0, 1]."""
    ranks = rankdata(column, nan_policy="omit")
    return np.asarray(ranks / max(1, int(np.isfinite(column).sum())), dtype=np.float64)


def _tau(left: Array, right: Array) -> float:
    return float(np.nan_to_num(kendalltau(left, right, nan_policy="omit").statistic))


def _rho(left: Array, right: Array) -> float:
    both = np.isfinite(left) & np.isfinite(right)
    if both.sum() < 3 or np.ptp(left[both]) == 0 or np.ptp(right[both]) == 0:
        return 0.0
    return float(spearmanr(left[both], right[both]).statistic)


_TABLE = (
    PoolScore(
        name="spw",
        definition="pairwise majority votes of synflow, l2_norm and wrcor: duels won minus duels lost",
        members=("synflow", "l2_norm", "wrcor"),
        fuse=copeland,
        needs_accuracy=False,
        source="Jing et al. 2025 (arXiv:2507.08841); the absolute score by Copeland's rule is ours",
    ),
    PoolScore(
        name="sjw",
        definition="pairwise majority votes of synflow, jacob_cov and wrcor: duels won minus duels lost",
        members=("synflow", "jacob_cov", "wrcor"),
        fuse=copeland,
        needs_accuracy=False,
        source="Jing et al. 2025 (arXiv:2507.08841); the absolute score by Copeland's rule is ours",
    ),
    PoolScore(
        name="az_nas",
        definition="Σ log(rank / A) of az_expressivity, az_progressivity, az_trainability and flops",
        members=("az_expressivity", "az_progressivity", "az_trainability", "flops"),
        fuse=log_ranks,
        needs_accuracy=False,
        source="Lee and Ham 2024 (AZ-NAS, CVPR)",
    ),
    PoolScore(
        name="te_nas_ranks",
        definition="sum of the ranks of te_nas (inverted) and te_nas_regions",
        members=("te_nas", "te_nas_regions"),
        fuse=rank_sum,
        needs_accuracy=False,
        source="Chen et al. 2021 (arXiv:2102.11535)",
    ),
    PoolScore(
        name="libra",
        definition="sum of the ranks of three proxies picked on a sample: best, least redundant, closest in bias",
        members=(),
        fuse=libra,
        needs_accuracy=True,
        source="Casarin et al. 2025 (LIBRA-NAS, arXiv:2505.07300); thresholds and equal weights are ours",
    ),
)

POOL_SCORES: Mapping[str, PoolScore] = MappingProxyType({score.name: score for score in _TABLE})
"""Name → record. `pool_score` applies one."""
