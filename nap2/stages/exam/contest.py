"""Who is fitted on what, and tested on which candidates, within one store; `transfer.py`: from one store to another."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.inference import Predictor
from nap2.snapshots.reader import SnapshotReader
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool, load_pools, train_sizes


@dataclass(frozen=True)
class Contest:
    """What all methods of one evaluation share.

    Attributes:
        fitted: config of the run that methods are fitted in; the target's own unless predictors are transferred.
        source: how rows name what the methods were fitted on.
        source_store: candidates that methods are fitted on.
        target_store: candidates that are tested.
        pools: training candidates and labels of the source, test candidates and ids of the target, fold by fold; none
            where a released predictor is tested.
        sizes: train sizes at which methods are compared.
        source_ids: candidate id by arch string, in the source.
        target_ids: candidate id by arch string, in the target.
        tested: arch strings of the target that judge, in the order of all predictions.
        accuracy: label by arch string, in the target.
        results: folder of rows, tables and plots.
        union: other datasets that NAP2 learned beside that of `source`.
        released: the predictor that is tested instead of those of `pools`.
    """

    fitted: Config
    source: str
    source_store: SnapshotReader
    target_store: SnapshotReader
    pools: list[Pool]
    sizes: list[int]
    source_ids: Mapping[str, str]
    target_ids: Mapping[str, str]
    tested: list[str]
    accuracy: Mapping[str, float]
    results: Path
    union: tuple[str, ...] = ()
    released: Predictor | None = None


def contest_within(config: Config, store: SnapshotReader) -> Contest:
    """Methods fitted on some candidates of a store and tested on others.

    Raises:
        EvaluationError: if no candidate is held back.
    """
    pools = load_pools(config, store)
    tested = sorted({arch for pool in pools for arch in pool.test}) if config.split.folds else pools[0].test
    if not tested:
        raise EvaluationError(
            f"split.test_size={config.split.test_size} holds no candidate back, so nothing can judge what was fitted; "
            "evaluate by cross-validation (split.folds=5) or with a test set."
        )
    return Contest(
        fitted=config,
        source=config.dataset.name,
        source_store=store,
        target_store=store,
        pools=pools,
        sizes=train_sizes(config, pools),
        source_ids=pools[0].ids,
        target_ids=pools[0].ids,
        tested=tested,
        accuracy=pools[0].accuracy,
        results=RunFolder.of(config).results,
        union=tuple(one.dataset for one in pools[0].companions),
    )
