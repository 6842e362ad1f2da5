"""Every method of an evaluation's table, fitted at one train size."""

from collections.abc import Sequence
from dataclasses import replace

from nap2.evaluation.judging.exam import Predictions
from nap2.evaluation.judging.pooling import pooled
from nap2.stages.exam.contenders import graph_predictions, size_predictions
from nap2.stages.exam.contest import Contest
from nap2.stages.exam.fusion_contenders import fused_predictions
from nap2.stages.exam.lcsvr_contender import lcsvr_predictions
from nap2.stages.exam.own_contender import nap2_predictions
from nap2.stages.exam.proxy_contenders import proxy_predictions
from nap2.stages.exam.released_contender import released_predictions
from nap2.stages.exam.released_graph import released_graph
from nap2.stages.fitting.variants import fitted_variants


def contenders(contest: Contest, size: int, by_curve: Sequence[Predictions]) -> list[Predictions]:
    """Every method of the table, the judged one first (NAP2, or NAP2+ with its parts), fitted pool by pool.

    Args:
        contest: who is fitted on what, and tested on whom.
        size: labelled candidates that methods are fitted on.
        by_curve: what the early curves say without any predictor.
    """
    config, fitted, pools, released = contest.config, contest.fitted, contest.pools, contest.released
    shares_graphs = bool(pools) and fitted.space.name == config.space.name
    methods: list[Predictions] = []
    if "fusion" in config.model and shares_graphs:
        by_pool = [fused_predictions(contest, pool, size) for pool in pools]
        methods += [joined(contest, variants) for variants in zip(*by_pool, strict=True)]
    if released is not None:
        methods.append(released_predictions(contest, released))
    else:
        for variant in fitted_variants(pools, size, contest.snapshots):
            own = [nap2_predictions(contest, pool, size, variant) for pool in pools]
            methods.append(joined(contest, own, *(one.dataset for one in pools[0].companions)))
    if not config.evaluate.baselines:
        return methods
    if pools:
        by_curve = [*by_curve, joined(contest, [lcsvr_predictions(contest, pool, size) for pool in pools])]
    if shares_graphs:
        by_graph = [joined(contest, [graph_predictions(fitted, pool, size) for pool in pools])]
    else:
        by_graph = [] if released is None else released_graph(contest, released)
    return [*methods, *by_curve, size_predictions(contest), *by_graph, *proxy_predictions(config, contest.tested)]


def joined(contest: Contest, parts: Sequence[Predictions], *beside: str) -> Predictions:
    """One method, fitted on each pool and asked about its test candidates, over all candidates that are tested."""
    tested = [pool.test for pool in contest.pools]
    found = pooled(list(zip(tested, parts, strict=True)), contest.tested)
    return replace(found, source="+".join((contest.source, *beside)))
