"""A released predictor in the exam: the mean over its heads, as its users get it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nap2.evaluation.judging.exam import Predictions
from nap2.feature_maps.families import ALL
from nap2.inference import Predictor
from nap2.inference.components import encoder_kinds
from nap2.snapshots.manifest import Setting
from nap2.stages.command.console import track
from nap2.stages.exam.contest import Contest
from nap2.stages.exam.transfer import source_name
from nap2.stages.pool.encoder_name import called, in_brackets, kind_named


def released_predictions(contest: Contest, predictor: Predictor) -> Predictions:
    """Its predictions of the test candidates at every budget, read off the stored trajectories one by one."""
    target = contest.target
    values = np.empty((1, len(contest.snapshots), len(contest.tested)))
    for place, arch in enumerate(track(contest.tested, "predicting", len(contest.tested))):
        trajectory = target.store.read(target.ids[arch]).trajectory
        for row, count in enumerate(contest.snapshots):
            values[0, row, place] = predictor.predict_with_spread(trajectory.first(count)).accuracy
    spec, kinds = predictor.spec, sorted(set(encoder_kinds(predictor.spec).values()))
    encoders = (
        kind_named("+".join(kinds), spec.get("directions")),
        str(spec.get("features", ALL)),
        "num_unlabelled" in spec,
    )
    num_heads = len(predictor.heads[predictor.modalities[0]])
    return Predictions(
        method="nap2" + in_brackets(encoders[0], encoders[1], unlabelled=encoders[2]),
        values=values,
        query_batches=contest.query_batches,
        snapshots=contest.snapshots,
        source=released_source(contest, predictor.spec),
        train_size=contest.sizes[0],
        cae_pool=str(predictor.spec.get("cae_pool", "")),
        encoder=called(*encoders),
        query_time_s=contest.query_seconds,
        note=f"released predictor, mean of {num_heads} heads",
    )


def released_source(contest: Contest, spec: Mapping[str, Any]) -> str:
    """Its datasets where they are other ones than the target's; else its name, which says what it learned."""
    own = source_name(Setting(**spec["setting"]), "", contest.config)
    return "+".join((own, *spec.get("union", ()))) if own else contest.source
