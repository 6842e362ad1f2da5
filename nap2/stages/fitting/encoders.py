"""How the encoder of each modality comes about: an autoencoder, principal components, or random weights."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from nap2.checkpoint import save_checkpoint
from nap2.config import Config
from nap2.errors import counted
from nap2.feature_maps import encoder_input
from nap2.feature_maps.families import ALL, kept_statistics
from nap2.models.cae import CAE
from nap2.models.cae_module import CAEModule
from nap2.models.linear_encoder import LinearEncoder
from nap2.models.random_encoder import random_encoder
from nap2.provenance import versions
from nap2.schema import MODALITIES
from nap2.seeding import forked_random_state, seed_from
from nap2.snapshots.reader import SnapshotReader
from nap2.stages.command.console import duration, say
from nap2.stages.command.parts import built
from nap2.stages.fitting.fit import fit
from nap2.stages.fitting.fit_state import forget
from nap2.stages.fitting.fitted_with import pool_name
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.encoder_name import encoder_kind, features_of
from nap2.stages.pool.splits import Pool
from nap2.stages.pool.union import roots_with_union

MOST_MAPS = 1500  # what a principal component analysis holds at once: 0.9 GB in float64

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def fit_cae(config: Config, store: SnapshotReader, pool: Pool, modality: str) -> None:
    """Fit one autoencoder on the training pool, stopped by the validation candidates."""
    folder, what = pool.folder.encoder_of(modality), title_of(config, pool, modality)
    options: dict[str, Any] = config.model["cae"]
    data = maps_to_learn(config, pool, modality)
    torch.manual_seed(seed_from("cae", modality, config.seed))
    net = CAE(DTYPES[config.model["dtype"]], options["size"])
    net.encoder.read_only(kept_statistics(features_of(config)))
    module = CAEModule(net, **{key: options[key] for key in ("lr", "warmup_epochs", "step_size", "gamma")})
    epochs, snapshots = options["epochs"], counted(config.snapshot.num_snapshots, "snapshot")
    at_most = "at most " if config.split.shorter else ""
    maps = f"{counted(len(pool.encoder_ids), 'candidate')} × {at_most}{snapshots}"
    say(f"{what}: {maps}, at most {counted(epochs, 'epoch')}")
    patience, device = options["patience"], config.trainer.device
    result = fit(module, data, folder, what=what, epochs=epochs, patience=patience, device=device)
    tensors = {"encoder": net.encoder.state_dict(), "decoder": net.decoder.state_dict()}
    ended = {"epochs": result.epochs, "val_loss": result.best_val_loss}
    release(config, pool, modality, tensors, result.seconds, ended)
    forget(folder)
    say(f"{what}: validation loss {result.best_val_loss:.4g} after {duration(result.seconds)}")


def maps_to_learn(config: Config, pool: Pool, modality: str) -> Any:
    """The data module of one autoencoder."""
    return built(
        config.data["feature_maps"],
        store_roots=roots_with_union(config),
        ids_by_split={"train": pool.encoder_ids, "val": [pool.ids[arch] for arch in pool.splits[0].val]},
        modality=modality,
        batch_size=config.model["cae"]["batch_size"],
        num_snapshots=config.snapshot.num_snapshots,
        cache_dir=Path(config.paths.runs) / "cache",
        cache_gb=config.cae.cache_gb,
        seed=seed_from("cae maps", config.seed),
        statistics=kept_statistics(features_of(config)),
        lengths=pool.lengths,
    )


def fit_pca(config: Config, store: SnapshotReader, pool: Pool, modality: str) -> None:
    """The principal directions of the maps that encoders learn from."""
    started = time.monotonic()
    maps = pool_maps(config, store, pool, modality)
    encoder = LinearEncoder.from_pca(maps, config.model["pca"]["size"])
    release(config, pool, modality, {"encoder": encoder.state_dict()}, time.monotonic() - started)
    say(f"{title_of(config, pool, modality)}: {encoder.size} directions of {len(maps):,} maps")


def fit_random(config: Config, store: SnapshotReader, pool: Pool, modality: str) -> None:
    """An encoder of random weights, its normalisation set by the training pool's maps."""
    started = time.monotonic()
    maps = pool_maps(config, store, pool, modality)
    with forked_random_state(seed_from("random encoder", modality, config.seed)):
        encoder = random_encoder(maps, kept_statistics(features_of(config)))
    release(config, pool, modality, {"encoder": encoder.state_dict()}, time.monotonic() - started)
    say(f"{title_of(config, pool, modality)}: drawn, normalised on {len(maps):,} maps")


Fitting = Callable[[Config, SnapshotReader, Pool, str], None]

FITTINGS: Mapping[str, Fitting] = MappingProxyType({"cae": fit_cae, "pca": fit_pca, "random": fit_random})
"""How each kind of encoder (model.encoder) comes about."""


def pool_maps(config: Config, store: SnapshotReader, pool: Pool, modality: str) -> Tensor:
    """Log-normalised maps `[B, 12, 65, 100]` of the training pool, at most `MOST_MAPS`, spread over the pool.

    Statistics that the config's encoders do not read are zero.
    """
    ids, most, held = pool.encoder_ids, config.snapshot.num_snapshots, store.complete()
    stride = -(-sum(min(most, held[candidate_id]) for candidate_id in ids) // MOST_MAPS)
    maps = []
    for candidate_id in ids[::stride]:
        trajectory = store.read(candidate_id).trajectory
        maps.append(encoder_input(trajectory.values[:most, MODALITIES.index(modality)], trajectory.units))
    return torch.cat(maps) * kept_statistics(features_of(config))[:, None, None]


def release(
    config: Config,
    pool: Pool,
    modality: str,
    tensors: Mapping[str, Mapping[str, Tensor]],
    seconds: float,
    ended: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Save a fitted encoder with what it was fitted on."""
    kind = str(config.model["encoder"])
    spec = {
        "kind": kind,
        "modality": modality,
        "features": features_of(config),
        "setting": setting_of(config).as_dict(),
        "pool": pool_name(config, pool),
        "num_shorter": pool.num_shorter,
        **ended,
        "seconds": seconds,
        "versions": versions(),
    }
    card = f"# Encoder of {modality} ({kind})\n\nFitted on {pool_name(config, pool)}.\n"
    save_checkpoint(pool.folder.encoder_of(modality) / "checkpoint", tensors, spec, card)


def title_of(config: Config, pool: Pool, modality: str) -> str:
    """How messages name an encoder."""
    kind = "CAE" if config.model["encoder"] == "cae" else f"{encoder_kind(config)} encoder"
    kind += "" if features_of(config) == ALL else f" ({features_of(config)} alone)"
    return ", ".join(filter(None, (f"{kind} of {modality}", pool.fold_name)))
