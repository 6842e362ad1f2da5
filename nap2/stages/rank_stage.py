"""stage=rank: train architectures, or importable models, for one query each and rank them with a trained predictor."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from nap2.config import Config
from nap2.errors import CheckpointError, ConfigError, check_name
from nap2.evaluation.records.csv_text import to_csv
from nap2.inference import Predictor, Ranking
from nap2.inference.refusals import check_budget
from nap2.inference.table import ranking_table
from nap2.snapshots.disk import write_atomically
from nap2.stages.command.console import say
from nap2.stages.command.device import check_device
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.stored import STORE
from nap2.stages.ranking.rank_stored import rank_stored
from nap2.stages.ranking.rank_trained import rank_trained


def run(config: Config) -> int:
    """Rank what `rank` names, or ten random architectures, on the config's images.

    Returns 1 if one of them failed.
    """
    device, options = check_device(config.trainer.device), config.rank
    check_one_kind(config)
    predictor = Predictor.from_pretrained(_checkpoint(config))
    query_batches = predictor.query_near(100) if options.query_batches is None else options.query_batches
    check_budget(query_batches, predictor.every, predictor.num_snapshots)
    if options.modality is not None:
        check_name("modality of this predictor", options.modality, predictor.modalities)
    if not options.models and (remark := remark_on_space(config, predictor.spec)):
        say(remark)
    if options.candidates == STORE:
        ranking = rank_stored(config, predictor.to(device), query_batches)
    else:
        ranking = rank_trained(config, predictor, query_batches, device)
    for line in ranking_table(ranking).splitlines():
        say(line)
    path = Path(config.paths.runs) / "ranking.csv"
    write_csv(path, ranking)
    say(f"ranking: {path}")
    return 1 if any(place.failure for place in ranking) else 0


def check_one_kind(config: Config) -> None:
    """Refuse a call that names networks in two ways.

    Raises:
        ConfigError: if it does.
    """
    asked = [name for name in ("models", "arch_strs", "candidates") if getattr(config.rank, name)]
    if len(asked) > 1:
        names = " and ".join(f"rank.{name}" for name in asked)
        raise ConfigError(f"{names} are both set; rank one kind at a time.")


def _checkpoint(config: Config) -> Path | str:
    """Where `rank.checkpoint` is: a name is one of `paths.checkpoints` first, where stage=publish writes."""
    name = config.rank.checkpoint
    if not name:
        return _own_checkpoint(config)
    released = Path(config.paths.checkpoints) / name
    return released if (released / "spec.json").is_file() else name


def _own_checkpoint(config: Config) -> Path:
    folder = RunFolder.of(config).checkpoint
    if not (folder / "spec.json").is_file():
        of_folds = ": each fold has its own, that of all is fitted with split.folds=0 split.test_size=0"
        raise CheckpointError(
            f"No predictor at {folder}{of_folds if config.split.folds else ''}; run stage=predictor first, or name "
            "one (rank.checkpoint=…)."
        )
    return folder


def remark_on_space(config: Config, spec: Mapping[str, Any]) -> str:
    """A line on a predictor that was fitted on another search space than the config's; empty for the same."""
    fitted_on = spec.get("setting", {}).get("space", config.space.name)
    if fitted_on == config.space.name:
        return ""
    return f"the predictor was fitted on {fitted_on} cells: on {config.space.name} its figures are ranks at best"


def write_csv(path: Path, ranking: Sequence[Ranking]) -> None:
    """One row per network; several warnings are joined by ` | `."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(place), "warnings": " | ".join(place.warnings)}.values() for place in ranking]
    write_atomically(path, to_csv([field.name for field in fields(Ranking)], rows).encode())
