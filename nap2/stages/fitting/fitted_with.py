"""What a fit was asked for, kept beside it: a later call that asks for something else is refused, not served.

A training folder is named by its run, split and size; what is fitted there also depends on options, labels and
encoders. They are noted in `fitted_with.json` when a fit begins, so that an interrupted one is not continued on other
data either. A folder from before notes were kept claims little, and is taken as it is: messages say so.
"""

import fcntl
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nap2.checkpoint import load_spec
from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.evaluation.splitting.splits import Split
from nap2.schema import EMBEDDING_SIZE
from nap2.snapshots.claims import NO_LOCKS
from nap2.snapshots.disk import write_atomically
from nap2.snapshots.manifest import Setting
from nap2.stages.command.console import say
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.run_folder import RunFolder, run_name
from nap2.stages.pool.splits import Pool

NOTE = "fitted_with.json"
HASHED = "sha256:"
CANDIDATES, SETTING, LABELLED, ENCODERS = "training candidates", "setting", "candidates or labels", "encoders"
LENGTHS = "numbers of snapshots"
BEFORE = {"model.cae.size": EMBEDDING_SIZE, "model.pca.size": EMBEDDING_SIZE}
"""What notes from before it could be chosen do not name."""
UNNOTED = "which an earlier version fitted, without a note of how"


def encoder_terms(config: Config, pool: Pool) -> dict[str, Any]:
    """What decides an encoder: its maps, the seed where it draws anything, and the options of an autoencoder."""
    terms: dict[str, Any] = {CANDIDATES: _candidates(pool), SETTING: _hashed(setting_of(config).as_dict())}
    terms["snapshot.num_snapshots"] = config.snapshot.num_snapshots
    terms |= encoder_options(config)
    if config.model["encoder"] != "pca":
        terms["seed"] = config.seed
    return terms


def head_terms(config: Config, pool: Pool, split: Split, size: int, encoders: str) -> dict[str, Any]:
    """What decides a predictor: embeddings (by their encoders), labels, options and seed."""
    train = split.train_of(size)
    learned: dict[str, Any] = {"train": _known(pool.accuracy, train), "val": _known(pool.accuracy, split.val)}
    learned |= {one.dataset: _known(one.accuracy, train) for one in pool.companions}
    return {
        ENCODERS: HASHED + encoders,
        "labels": config.labels,
        LABELLED: _hashed(learned),
        **head_options(config),
        "seed": config.seed,
    }


def encoder_options(config: Config) -> dict[str, Any]:
    """Those of an autoencoder, or how many components are kept; random weights have none."""
    if config.model["encoder"] == "pca":
        return {"model.pca.size": config.model["pca"]["size"]}
    if config.model["encoder"] != "cae":
        return {}
    options = {f"model.cae.{name}": value for name, value in config.model["cae"].items()}
    return {**options, "model.dtype": config.model["dtype"]}


def head_options(config: Config) -> dict[str, Any]:
    """Those of a predictor."""
    return {f"model.predictor.{name}": value for name, value in config.model["predictor"].items()}


def length_terms(lengths: Sequence[int]) -> dict[str, Any]:
    """How many snapshots of each candidate are learned from: what was interrupted goes on with as many or not at all.

    What is finished stays when some are trained further (`split.shorter`).
    """
    return {LENGTHS: _hashed({LENGTHS: list(lengths)})}


def seen_terms(config: Config, encoders: str) -> dict[str, Any]:
    """What must be the same of a predictor that is tested: the labels that rows name, and whose embeddings it reads."""
    return {ENCODERS: HASHED + encoders, "labels": config.labels}


@contextmanager
def claimed(folder: Path, asked: Mapping[str, Any]) -> Iterator[None]:
    """A training folder of this process alone, with a note of what is fitted there.

    Two calls at once would overwrite each other's states, and the first to end takes them from under the second. The
    lock ends with its process, however that ends.

    Raises:
        EvaluationError: if another process is at work there, or the fit that began there was asked for something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EvaluationError(
                f"Another process is fitting what belongs into {folder}; let it end, then run this again."
            ) from error
        except OSError as error:
            if error.errno not in NO_LOCKS:  # where there are none, nobody can be kept out
                raise
        if any(folder.glob("*.ckpt")):
            refuse_another(folder, asked)
            if unnoted(folder):
                say(f"{folder}: goes on with what is there, {UNNOTED}")
        else:
            write_atomically(folder / NOTE, (json.dumps(dict(asked), indent=1) + "\n").encode())
        yield


def refuse_another(folder: Path, asked: Mapping[str, Any]) -> None:
    """Check that the fit of a training folder agrees with these terms, as far as its note, or its age, tells.

    Raises:
        EvaluationError: if it does not, or the note cannot be read.
    """
    found: dict[str, Any] = dict(BEFORE)
    try:
        found |= json.loads((folder / NOTE).read_text("utf-8"))
    except FileNotFoundError:
        pass
    except ValueError as error:
        raise EvaluationError(f"{folder / NOTE} is damaged ({error}); delete {folder} and fit again.") from error
    other = [_told(name, found[name], asked[name]) for name in asked if found.get(name, asked[name]) != asked[name]]
    if other:
        raise EvaluationError(
            f"{folder} was fitted with {', '.join(other)}; ask for the same, set name= for a new run, or delete that "
            "folder."
        )


def unnoted(folder: Path) -> str:
    """What a message adds where a fit is from before notes were kept; nothing elsewhere."""
    return "" if (folder / NOTE).is_file() else f", {UNNOTED}"


def pool_name(config: Config, pool: Pool) -> str:
    """How result rows name the candidates that the autoencoders were fitted on.

    Where shorter ones may learn it stays the same when they are trained further.
    """
    at_most = "≤" if config.split.shorter else ""
    return f"{run_name(config)}/{len(pool.encoder_archs)}×{at_most}{config.snapshot.num_snapshots}"


def encoder_spec(config: Config, pool: Pool, modality: str) -> dict[str, Any]:
    """What the checkpoint of a pool's encoder says of itself.

    Raises:
        EvaluationError: if it has not been trained, or was on other candidates, snapshots or another setting than the
            config's: the same folder serves whatever is asked under its name.
    """
    checkpoint = require_trained(pool.folder, modality)
    spec = load_spec(checkpoint)
    found, asked = (name.rpartition("/")[2] for name in (str(spec["pool"]), pool_name(config, pool)))
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
    refuse_another(checkpoint.parent, {CANDIDATES: encoder_terms(config, pool)[CANDIDATES]})
    return spec


def require_trained(folder: RunFolder, modality: str) -> Path:
    """The checkpoint of one encoder.

    Raises:
        EvaluationError: if it has not been trained.
    """
    checkpoint = folder.encoder_of(modality) / "checkpoint"
    if not (checkpoint / "spec.json").is_file():
        raise EvaluationError(f"No {folder.encoder} encoder of {modality} at {checkpoint}; run stage=cae first.")
    return checkpoint


def _told(name: str, found: object, asked: object) -> str:
    is_hash = isinstance(found, str) and found.startswith(HASHED)
    return f"other {name}" if is_hash else f"{name}={found} (this call: {asked})"


def _candidates(pool: Pool) -> str:
    """By arch string and dataset, whatever their order: an id follows from both and the setting."""
    own = pool.encoder_archs
    known = {one.dataset: sorted(arch for arch in own if arch in one.ids) for one in pool.companions}
    return _hashed({"own": sorted(own), **known})


def _known(accuracy: Mapping[str, float], arch_strs: Collection[str]) -> dict[str, float]:
    return {arch: accuracy[arch] for arch in arch_strs if arch in accuracy}


def _hashed(content: Mapping[str, Any]) -> str:
    return HASHED + hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
