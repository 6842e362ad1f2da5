"""What a fitted encoder was fitted on, and whether that is what a call asks for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nap2.checkpoint import load_spec
from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.snapshots.manifest import Setting
from nap2.stages.fitting.fitted_with import CANDIDATES, encoder_terms, refuse_another
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool


def pool_name(config: Config, pool: Pool) -> str:
    """How result rows name the candidates that the autoencoders were fitted on."""
    parts = (config.name, RunFolder.of(config).root.name, f"{len(pool.splits[0].pool)}×{config.snapshot.num_snapshots}")
    return "/".join(parts)


def encoder_spec(config: Config, pool: Pool, modality: str) -> dict[str, Any]:
    """What the checkpoint of a pool's encoder says of itself.

    Raises:
        EvaluationError: if it has not been trained, or was on other candidates or snapshots than the config's.
    """
    checkpoint = require_trained(pool.folder, modality)
    spec = load_spec(checkpoint)
    check_pool(config, pool, spec, checkpoint)
    refuse_another(checkpoint.parent, {CANDIDATES: encoder_terms(config, pool)[CANDIDATES]})
    return spec


def check_pool(config: Config, pool: Pool, spec: Mapping[str, Any], checkpoint: Path) -> None:
    """Refuse what an earlier call fitted on other maps: the same folder serves whatever is asked under its name.

    Args:
        config, pool: of this call.
        spec: what the checkpoint of an encoder or a head says of itself.
        checkpoint: where it lies.

    Raises:
        EvaluationError: if the number of candidates or of snapshots differs, or their setting (a recipe, a width).
    """
    fitted_on = str(spec.get("cae_pool", spec.get("pool")))
    found, asked = (name.rpartition("/")[2] for name in (fitted_on, pool_name(config, pool)))
    if found != asked:
        raise EvaluationError(
            f"{checkpoint} was fitted on {found} maps (candidates × snapshots), this call asks for {asked}; fewer "
            f"snapshots are shown by evaluate.budgets, otherwise set name= for a new run or delete {pool.folder.root}."
        )
    own = setting_of(config)
    if differences := Setting(**spec.get("setting", own.as_dict())).differences(own):
        raise EvaluationError(
            f"{checkpoint} was fitted on candidates of another setting ({'; '.join(differences[:3])}); set name= for a "
            f"new run or delete {pool.folder.root}."
        )


def require_trained(folder: RunFolder, modality: str) -> Path:
    """The checkpoint of one encoder.

    Raises:
        EvaluationError: if it has not been trained.
    """
    checkpoint = folder.encoder_of(modality) / "checkpoint"
    if not (checkpoint / "spec.json").is_file():
        raise EvaluationError(f"No {folder.encoder} encoder of {modality} at {checkpoint}; run stage=cae first.")
    return checkpoint
