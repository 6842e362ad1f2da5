"""stage=predictor: fit one predictor per trial and train size on the embeddings of its training candidates.

NAP2's is a BiGRU that serves every query budget; `predictor.reading` asks for those of the paper's ablation instead.
"""

from nap2.config import Config
from nap2.inference.components import HEAD_MODALITIES
from nap2.models.readings import ORDERED
from nap2.stages.command.console import say
from nap2.stages.command.device import check_device
from nap2.stages.fitting.assemble import assemble
from nap2.stages.fitting.embedding import embeddings_of
from nap2.stages.fitting.heads import train_one
from nap2.stages.fitting.variants import fitted_sizes
from nap2.stages.pool.sources import record_config
from nap2.stages.pool.splits import load_pools, train_sizes
from nap2.stages.pool.union import open_with_union


def run(config: Config) -> int:
    """Train every predictor that is missing, then assemble the checkpoint that users load."""
    check_device(config.trainer.device)
    pools = load_pools(config)
    sizes = train_sizes(config, pools)
    for pool in pools:
        embeddings = embeddings_of(config, pool)
        for size in sizes:
            for split in pool.splits:
                train_one(config, pool, split, size, embeddings)
    record_config(config)
    if config.predictor.reading != ORDERED:
        say(f"predictors that read {config.predictor.reading} are for stage=evaluate, beside NAP2; none is released")
    elif config.split.folds:
        say("each fold has its own; the predictor to publish is fitted on all: split.folds=0 split.test_size=0")
    else:
        largest = max(size for modality in HEAD_MODALITIES for size in fitted_sizes(pools, modality))
        if largest > max(sizes):
            say(f"the predictors on {largest} candidates are there too; the checkpoint stays one of these")
        assemble(config, pools[0], largest, open_with_union(config))
    return 0
