"""stage=cae: fit the autoencoder of each modality on the maps of the training pool."""

from pathlib import Path
from typing import Any

import torch

from nap2.checkpoint import save_checkpoint
from nap2.config import Config
from nap2.errors import EvaluationError, UnknownNameError
from nap2.models.cae import CAE
from nap2.models.cae_module import CAEModule
from nap2.schema import MODALITIES
from nap2.seeding import seed_from
from nap2.stages.console import duration, say
from nap2.stages.fit import fit
from nap2.stages.parts import built
from nap2.stages.provenance import versions
from nap2.stages.run_folder import RunFolder
from nap2.stages.snapshot_stage import check_device
from nap2.stages.splits import Pool, load_pool, open_store

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def run(config: Config) -> int:
    """Train what is missing of the two autoencoders."""
    check_device(config.trainer.device)
    store = open_store(config)
    pool = load_pool(config, store)
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    wanted = MODALITIES if config.cae.modality == "both" else (config.cae.modality,)
    for modality in wanted:
        train_one(config, store.root, pool, modality)
    return 0


def train_one(config: Config, store_root: Path, pool: Pool, modality: str) -> None:
    """Fit one autoencoder, or say that it is there already."""
    folder = RunFolder.of(config).cae(modality)
    if (folder / "checkpoint" / "spec.json").is_file():
        say(f"CAE of {modality}: already at {folder / 'checkpoint'}")
        return
    options: dict[str, Any] = config.model["cae"]
    split = pool.splits[0]
    ids = {"train": [pool.ids[a] for a in split.pool], "val": [pool.ids[a] for a in split.val]}
    data = built(
        config.data["feature_maps"],
        store_root=store_root,
        ids_by_split=ids,
        modality=modality,
        batch_size=options["batch_size"],
        num_snapshots=config.snapshot.num_snapshots,
        cache_dir=Path(config.paths.runs) / "cache",
        cache_gb=config.cae.cache_gb,
        seed=seed_from("cae maps", config.seed),
    )
    torch.manual_seed(seed_from("cae", modality, config.seed))
    net = CAE(dtype_of(config))
    module = CAEModule(net, **{key: options[key] for key in ("lr", "warmup_epochs", "step_size", "gamma")})
    say(
        f"CAE of {modality}: {len(ids['train'])} candidates × {config.snapshot.num_snapshots} snapshots, "
        f"at most {options['epochs']} epochs"
    )
    result = fit(
        module,
        data,
        folder,
        what=f"CAE of {modality}",
        epochs=options["epochs"],
        patience=options["patience"],
        device=config.trainer.device,
    )
    spec = {
        "kind": "cae",
        "modality": modality,
        "setting": pool_setting(config),
        "pool": pool_name(config, pool),
        "epochs": result.epochs,
        "val_loss": result.best_val_loss,
        "seconds": result.seconds,
        "versions": versions(),
    }
    tensors = {"encoder": net.encoder.state_dict(), "decoder": net.decoder.state_dict()}
    fitted_on = pool_name(config, pool)
    card = f"# Autoencoder of {modality}\n\nFitted on {fitted_on}; validation loss {result.best_val_loss:.4g}.\n"
    save_checkpoint(folder / "checkpoint", tensors, spec, card)
    say(f"CAE of {modality}: validation loss {result.best_val_loss:.4g} after {duration(result.seconds)}")


def dtype_of(config: Config) -> torch.dtype:
    """The dtype of the autoencoders.

    Raises:
        UnknownNameError: if `model.dtype` is neither of the two.
    """
    if config.model["dtype"] not in DTYPES:
        raise UnknownNameError("dtype (model.dtype)", str(config.model["dtype"]), DTYPES)
    return DTYPES[config.model["dtype"]]


def pool_setting(config: Config) -> dict[str, Any]:
    """The setting of the candidates behind a checkpoint."""
    from nap2.stages.candidates import setting_of

    return setting_of(config).as_dict()


def pool_name(config: Config, pool: Pool) -> str:
    """How result rows name the candidates that the autoencoders were fitted on."""
    return f"{config.name}/{config.split.flavour}/{len(pool.splits[0].pool)}×{config.snapshot.num_snapshots}"


def require_trained(config: Config, modality: str) -> Path:
    """The checkpoint of one autoencoder.

    Raises:
        EvaluationError: if it has not been trained.
    """
    folder = RunFolder.of(config).cae(modality) / "checkpoint"
    if not (folder / "spec.json").is_file():
        raise EvaluationError(f"No CAE of {modality} at {folder}; run stage=cae first.")
    return folder
