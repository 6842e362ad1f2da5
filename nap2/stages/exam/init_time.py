"""What a predictor cost before its first query: the training of its candidates as far as it reads them."""

from collections.abc import Callable
from dataclasses import replace

from nap2.evaluation.judging.exam import Predictions
from nap2.snapshots.reader import SnapshotReader
from nap2.stages.exam.contest import Contest
from nap2.stages.pool.splits import Pool
from nap2.stages.pool.union import open_with_union

NOTE = (
    "init time: training candidates up to their last snapshot, encoders and predictor; published labels took full "
    "trainings besides"
)


def with_collection(contest: Contest) -> Callable[[Pool, Predictions], Predictions]:
    """How the time to fit becomes the init time: by the seconds of the pool's and the validation candidates.

    Each candidate is read once for all pools, trials and sizes.
    """
    reader: SnapshotReader = open_with_union(contest.fitted) if contest.union else contest.source_store
    last = contest.fitted.snapshot.num_snapshots - 1
    known: dict[str, float] = {}

    def seconds(candidate_id: str) -> float:
        if candidate_id not in known:
            known[candidate_id] = reader.read(candidate_id).curve.snapshot_seconds[last]
        return known[candidate_id]

    def added(pool: Pool, found: Predictions) -> Predictions:
        own = replace(pool, ids=dict(contest.source_ids))
        ids = own.training_ids + [own.ids[arch] for arch in own.splits[0].val]
        total = (found.init_time_s or 0.0) + sum(map(seconds, ids))
        return replace(found, init_time_s=total, note="; ".join(filter(None, (found.note, NOTE))))

    return added
