"""stage=embed: encode every snapshot of every stored candidate; only what is missing."""

from nap2.config import Config
from nap2.schema import MODALITIES
from nap2.stages.command.device import check_device
from nap2.stages.fitting.embedding import embed, load_encoders
from nap2.stages.fitting.fitted_with import encoder_spec
from nap2.stages.pool.splits import load_pools
from nap2.stages.pool.union import open_with_union


def run(config: Config) -> int:
    """Encode what has no embedding yet."""
    device = check_device(config.trainer.device)
    pools, everything = load_pools(config), open_with_union(config)
    ids = {*pools[0].ids.values()}.union(*(one.ids.values() for one in pools[0].companions))
    for pool in pools:
        for modality in MODALITIES:
            encoder_spec(config, pool, modality)
        encoders = load_encoders(pool.folder, device)
        embed(everything, sorted(ids), pool.folder.embeddings, encoders, config.snapshot.num_snapshots, pool.fold_name)
    return 0
