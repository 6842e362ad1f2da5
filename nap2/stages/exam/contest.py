"""Who is fitted on what, and tested on which candidates, within one store; `transfer.py`: from one store to another."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.inference import Predictor
from nap2.snapshots.curve import Curve
from nap2.snapshots.reader import SnapshotReader
from nap2.stages.fitting.embedding import embeddings_of
from nap2.stages.pool.budgets import budgets_of
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool, load_pools, train_sizes
from nap2.stages.pool.union import open_with_union


@dataclass(frozen=True)
class Early:
    """What is known of a candidate beside its maps: its early curve and its number of recorded layers."""

    curve: Curve
    layers: int


@dataclass(frozen=True)
class Candidates:
    """Stored candidates, of each of which the curve is read once.

    Attributes:
        store: holds them.
        ids: candidate id by arch string.
        known: what was read, by id.
    """

    store: SnapshotReader
    ids: Mapping[str, str]
    known: dict[str, Early] = field(default_factory=dict)

    def early(self, arch_str: str) -> Early:
        """What is known of the candidate of an architecture."""
        return self.early_of(self.ids[arch_str])

    def early_of(self, candidate_id: str) -> Early:
        """The same by id, which may also be that of a companion's."""
        if candidate_id not in self.known:
            stored = self.store.read(candidate_id)
            self.known[candidate_id] = Early(stored.curve, len(stored.trajectory.units))
        return self.known[candidate_id]


@dataclass(frozen=True)
class Contest:
    """What all methods of one evaluation share.

    Attributes:
        config: of the target.
        fitted: config of the run that methods are fitted in; the target's own unless predictors are transferred.
        source: how rows name what the methods were fitted on.
        learned: candidates that methods are fitted on, those of companions among them.
        target: candidates of which some are tested.
        pools: training candidates and labels of the source, test candidates and ids of the target, fold by fold; none
            where a released predictor is tested.
        sizes: train sizes at which methods are compared.
        tested: arch strings of the target that judge, in the order of all predictions.
        accuracy: label by arch string, in the target.
        results: folder of rows, tables and plots.
        released: the predictor that is tested instead of those of `pools`.
    """

    config: Config
    fitted: Config
    source: str
    learned: Candidates
    target: Candidates
    pools: list[Pool]
    sizes: list[int]
    tested: list[str]
    accuracy: Mapping[str, float]
    results: Path
    released: Predictor | None = None

    @property
    def snapshots(self) -> tuple[int, ...]:
        """How many are seen of each tested candidate: the budgets at which methods are compared."""
        return budgets_of(self.config)

    @property
    def query_batches(self) -> tuple[int, ...]:
        """The same budgets in mini-batches."""
        return tuple(count * self.config.snapshot.every for count in self.snapshots)

    @property
    def curves(self) -> list[Curve]:
        """Training curves of the tested candidates."""
        return [self.target.early(arch).curve for arch in self.tested]

    @cached_property
    def query_seconds(self) -> tuple[float, ...]:
        """Mean seconds of training that a query of each budget took, per tested candidate."""
        curves = self.curves
        return tuple(float(np.mean([curve.seconds(n) for curve in curves])) for n in self.snapshots)


def contest_within(config: Config, store: SnapshotReader) -> Contest:
    """Methods fitted on some candidates of a store and tested on others.

    Raises:
        EvaluationError: if no candidate is held back, or the embeddings do not fit.
    """
    pools = load_pools(config)
    tested = sorted({arch for pool in pools for arch in pool.test}) if config.split.folds else pools[0].test
    if not tested:
        raise EvaluationError(
            f"split.test_size={config.split.test_size} holds no candidate back, so nothing can judge what was fitted; "
            "evaluate by cross-validation (split.folds=5) or with a test set."
        )
    for pool in pools:
        embeddings_of(config, pool)  # which are read later, by every method that needs them
    target = Candidates(store, pools[0].ids)
    return Contest(
        config=config,
        fitted=config,
        source=config.dataset.name,
        learned=Candidates(open_with_union(config), pools[0].ids) if pools[0].companions else target,
        target=target,
        pools=pools,
        sizes=train_sizes(config, pools),
        tested=tested,
        accuracy=pools[0].accuracy,
        results=RunFolder.of(config).results,
    )
