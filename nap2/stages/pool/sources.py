"""What `evaluate.source` names: one split of another run, or a released predictor; two meanings are refused."""

from dataclasses import replace
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nap2.config import Config
from nap2.errors import ConfigError
from nap2.inference.lookup import places
from nap2.stages.pool.encoder_name import encoder_name
from nap2.stages.pool.run_folder import RunFolder


def record_config(config: Config) -> None:
    """Keep the config of the predictors of one split beside them: what tests them elsewhere needs their labels."""
    path = RunFolder.of(config).config
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(OmegaConf.to_yaml(OmegaConf.structured(config)), encoding="utf-8")


def source_of(config: Config, source: str) -> Config | Path:
    """The config of the predictors of one split of a run, or the folder of a checkpoint.

    Args:
        config: of the target; its `model.encoder` says which of a run's predictors are meant.
        source: `<run>/<split>`; `<run>` where it holds the predictors of one split only; the name of a checkpoint; or
            the path of either.

    Raises:
        ConfigError: if there is none, or more than one, in one line that names them.
    """
    records, checkpoint = _records(config, source), _checkpoint(config, source)
    found = [*(path.parent for path in records), *([checkpoint] if checkpoint else [])]
    if len(found) > 1:
        raise ConfigError(
            f"evaluate.source={source} could mean {', '.join(map(str, found[:-1]))} or {found[-1]}; "
            "give the path of the one you mean."
        )
    if checkpoint is not None:
        return checkpoint
    if not records:
        raise ConfigError(
            f"evaluate.source={source}: no run with predictors on a {encoder_name(config)} encoder beside "
            f"{config.paths.runs} and no checkpoint in {_listed(config)} is called so; correct the name, or run "
            "stage=predictor of that run (where all is trained it only notes what is there)."
        )
    return _read(records[0], config)


def _records(config: Config, source: str) -> list[Path]:
    """The config files of the predictors that a name may mean, one for each split."""
    name = RunFolder.of(config).config.name
    for folder in (Path(config.paths.runs).parent / source, Path(source)):
        for pattern in (name, f"*/{name}"):
            if found := sorted(folder.glob(pattern)):
                return found
    return []


def _checkpoint(config: Config, source: str) -> Path | None:
    roots = [Path(config.paths.checkpoints), *places(), Path()]
    return next((root / source for root in roots if (root / source / "spec.json").is_file()), None)


def _listed(config: Config) -> str:
    return " or ".join(dict.fromkeys(map(str, (Path(config.paths.checkpoints), *places()))))


def _read(path: Path, config: Config) -> Config:
    """A kept config, with this call's stage and model: the fusion of NAP2+ is fitted anew.

    Its runs are those where it lies: the run may have been copied or moved since, and another may lie where it was.
    """
    try:
        found = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(path)))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{path} is not a config of this version: {str(error).splitlines()[0]}") from error
    assert isinstance(found, Config)
    paths = replace(found.paths, runs=str(path.parent.parent))
    return replace(found, stage=config.stage, model=config.model, paths=paths)
