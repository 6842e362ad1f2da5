"""stage=cae: fit the encoder of each modality (`model.encoder`) on the maps of the training pool, fold by fold."""

from nap2.config import Config
from nap2.schema import MODALITIES
from nap2.stages.command.console import say
from nap2.stages.command.device import check_device
from nap2.stages.fitting.encoders import FITTINGS, title_of
from nap2.stages.fitting.fitted_with import claimed, encoder_spec, encoder_terms, length_terms, refuse_another, unnoted
from nap2.stages.pool.splits import load_pools
from nap2.stages.pool.union import open_with_union


def run(config: Config) -> int:
    """Train what is missing of the two autoencoders."""
    check_device(config.trainer.device)
    pools = load_pools(config)
    store = open_with_union(config)
    wanted = MODALITIES if config.cae.modality == "both" else (config.cae.modality,)
    for pool in pools:
        for modality in wanted:
            folder, asked = pool.folder.encoder_of(modality), encoder_terms(config, pool)
            if (folder / "checkpoint" / "spec.json").is_file():
                encoder_spec(config, pool, modality)
                refuse_another(folder, asked)
                say(f"{title_of(config, pool, modality)}: already at {folder / 'checkpoint'}{unnoted(folder)}")
                continue
            held = pool.lengths
            lengths = [min(held[candidate_id], config.snapshot.num_snapshots) for candidate_id in pool.encoder_ids]
            with claimed(folder, {**asked, **length_terms(lengths)}):
                FITTINGS[config.model["encoder"]](config, store, pool, modality)
    return 0
