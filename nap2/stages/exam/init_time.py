"""What a predictor cost before its first query: the training of its candidates as far as it reads them."""

from dataclasses import replace

from nap2.evaluation.judging.exam import Predictions
from nap2.stages.exam.contest import Contest
from nap2.stages.pool.splits import Pool

NOTE = (
    "init time: training candidates up to their last snapshot, encoders and predictor; published labels took full "
    "trainings besides"
)


def with_collection(contest: Contest, pool: Pool, found: Predictions) -> Predictions:
    """The time to fit becomes the init time: by the seconds of the pool's and the validation candidates."""
    own, last = replace(pool, ids=dict(contest.learned.ids)), contest.fitted.snapshot.num_snapshots - 1
    ids = own.training_ids + [own.ids[arch] for arch in own.splits[0].val]
    seconds = sum(contest.learned.early_of(candidate_id).curve.snapshot_seconds[last] for candidate_id in ids)
    note = "; ".join(filter(None, (found.note, NOTE)))
    return replace(found, init_time_s=(found.init_time_s or 0.0) + seconds, note=note)
