"""A folder that explains itself: `spec.json`, one safetensors file per component, `card.md`. No pickle.

`spec.json` holds what the caller says of the checkpoint (kind, recipe, dataset, versions, …), and for each component
the file's SHA-256 and every tensor's name, dtype and shape, so that a damaged or foreign file is refused before use.
Format 2 may hold matrices in 16 or 8 bits, which `inference/narrow.py` widens; format 1 holds none
and is read as before.
"""

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from nap2.errors import CheckpointError, counted, described
from nap2.schema import MODALITIES
from nap2.snapshots.disk import set_aside
from nap2.tensor_file import tensor_bytes

FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)
Tensors = Mapping[str, Tensor]
_ASIDE = ".replaced"


def save_checkpoint(folder: Path | str, tensors: Mapping[str, Tensors], spec: Mapping[str, Any], card: str) -> None:
    """Write a checkpoint; the folder appears whole or not at all, and replaces a checkpoint that was there.

    Args:
        folder: where to: one that is missing, empty, or holds a checkpoint; or a link to one.
        tensors: a state dict per component.
        spec: JSON values; `kind` is required. Keys `format_version` and `components` are added.
        card: Markdown for people: what it is, on what it was fitted, how to use it, limits.

    Raises:
        CheckpointError: if the spec has no kind, or is not JSON, or if something else is there, or nothing can be
            written.
    """
    folder = Path(os.path.expanduser(folder))
    try:
        settle(folder)
        if folder.is_symlink() and folder.exists():
            folder = folder.resolve()  # the link stays, and shows the new checkpoint
        _check_replaceable(folder)
        if "kind" not in spec:
            raise CheckpointError(
                f"The spec of {folder} has no 'kind'; say what the checkpoint is, e.g. kind='predictor'."
            )
        _write(folder, tensors, spec, card)
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint cannot be saved at {folder} ({described(error)}); name a folder that can be written."
        ) from error


def settle(folder: Path) -> None:
    """End what a killed process was replacing: the checkpoint that it had put aside comes back, or goes."""
    folder = Path(os.path.realpath(folder))  # beside what a link shows
    for aside in folder.parent.glob(f".*{_ASIDE}"):
        if aside.name.rsplit(".", 2)[0] != f".{folder.name}":
            continue  # that of another checkpoint, whose name may begin alike: v1.1 beside v1
        if (folder / "spec.json").exists():
            shutil.rmtree(aside, ignore_errors=True)
        elif not folder.exists() or set(os.listdir(folder)) <= set(os.listdir(aside)):
            shutil.rmtree(folder, ignore_errors=True)  # what is left of it, where it had to be copied
            aside.rename(folder)


def load_checkpoint(folder: Path | str, kind: str | None = None) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]]:
    """Read what `save_checkpoint` wrote.

    Args:
        folder: the checkpoint.
        kind: what it must be; anything where None.

    Returns:
        The spec, and a state dict per component, on the CPU.

    Raises:
        CheckpointError: if it is missing, damaged, of another format or of another kind.
    """
    folder = Path(os.path.expanduser(folder))
    spec = load_spec(folder, kind)
    return spec, {name: _load_component(folder, name, entry) for name, entry in spec["components"].items()}


def load_spec(folder: Path | str, kind: str | None = None) -> dict[str, Any]:
    """Read the spec alone.

    Raises:
        CheckpointError: if it is missing, damaged, of another format or of another kind.
    """
    folder = Path(os.path.expanduser(folder))
    path = folder / "spec.json"
    content = _content(path)
    if content is None:
        what = "a folder without spec.json" if folder.is_dir() else "a file" if folder.is_file() else "nothing"
        raise CheckpointError(f"No checkpoint at {folder}: found {what}; give the folder that holds spec.json.")
    try:
        spec: dict[str, Any] = json.loads(content)
        version = spec["format_version"]
        if version not in READABLE_VERSIONS:  # whatever else it holds
            raise CheckpointError(
                f"{path} has format {version}, this version of nap2 reads {' and '.join(map(str, READABLE_VERSIONS))}; "
                "install the nap2 that wrote it, or save it with this one."
            )
        found, components = spec["kind"], [(e["sha256"], e["tensors"]) for e in spec["components"].values()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged ({error!r}); copy the checkpoint again.") from error
    if not components:
        raise CheckpointError(f"{path} lists no component; copy the checkpoint again, or save it again.")
    if kind is not None and found != kind:
        raise CheckpointError(
            f"Asked for a checkpoint of kind {kind!r}, but {folder} is a {found!r}; give another folder."
        )
    return spec


def heads_named(spec: Mapping[str, Any]) -> str:
    """How many heads the spec of a predictor lists, and how many of them read one modality alone."""
    found = Counter(entry.get("modality", "both") for entry in spec.get("heads", [{}]))
    alone = (f"{found[modality]} of {modality} alone" for modality in MODALITIES if found[modality])
    return ", ".join((counted(found.total(), "head"), *alone))


def load_into(net: nn.Module, state: Tensors, what: str) -> None:
    """Give `net` these tensors, all of them and no others; `net` may be on the meta device and takes their dtype.

    Raises:
        CheckpointError: if a name or a shape differs.
    """
    expected = net.state_dict()
    for name in sorted(expected.keys() | state.keys()):
        if name not in state or name not in expected:
            where = "lacks" if name not in state else "has the unknown"
            raise CheckpointError(
                f"The checkpoint of {what} {where} tensor {name!r}; it was saved from another network."
            )
        if state[name].shape != expected[name].shape:
            raise CheckpointError(
                f"Tensor {name!r} of {what} has shape {list(state[name].shape)}, the network needs "
                f"{list(expected[name].shape)}; it was saved from another network."
            )
    net.load_state_dict(state, assign=True)


def _write(folder: Path, tensors: Mapping[str, Tensors], spec: Mapping[str, Any], card: str) -> None:
    staged = folder.parent / f".{folder.name}.{os.getpid()}.partial"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        components = {}
        for name, state in tensors.items():
            content = tensor_bytes(state)
            (staged / f"{name}.safetensors").write_bytes(content)
            components[name] = {"sha256": hashlib.sha256(content).hexdigest(), "tensors": _table(state)}
        whole = {**spec, "format_version": FORMAT_VERSION, "components": components}
        (staged / "spec.json").write_text(_json(whole, folder), encoding="utf-8")
        (staged / "card.md").write_text(card, encoding="utf-8")
        _replace(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _content(path: Path) -> bytes | None:
    """What a file holds; None where there is none.

    Raises:
        CheckpointError: if it cannot be read.
    """
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({described(error)}); ask whoever owns it, or copy it."
        ) from error


def _load_component(folder: Path, name: str, entry: Mapping[str, Any]) -> dict[str, Tensor]:
    from safetensors.torch import load

    path = folder / f"{name}.safetensors"
    content = _content(path)
    if content is None:
        raise CheckpointError(f"Component {name!r} of {folder} is missing: no {path.name}; copy the checkpoint again.")
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise CheckpointError(f"{path} is not the file that spec.json describes (SHA-256 differs); copy it again.")
    try:
        tensors: dict[str, Tensor] = load(content)
    except SafetensorError as error:
        raise CheckpointError(f"{path} cannot be read ({error}); copy the checkpoint again.") from error
    if _table(tensors) != entry["tensors"]:
        raise CheckpointError(f"{path} holds other tensors than spec.json lists; copy the checkpoint again.")
    return tensors


def _table(tensors: Tensors) -> dict[str, list[Any]]:
    """`[dtype, shape]` by name."""
    return {k: [str(t.dtype).removeprefix("torch."), list(t.shape)] for k, t in sorted(tensors.items())}


def _json(content: Mapping[str, Any], folder: Path) -> str:
    try:
        return json.dumps(content, indent=1, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"The spec of {folder} must be JSON ({error}); give plain finite values.") from error


def _check_replaceable(folder: Path) -> None:
    """Refuse a place where something would be lost that is no checkpoint, or where no folder can be put.

    Raises:
        CheckpointError: if it is one.
    """
    if folder.name in ("", ".."):
        raise CheckpointError(f"Asked to save a checkpoint as {str(folder)!r}; give its folder a name.")
    if (folder / "spec.json").is_file() or not (folder.exists() or folder.is_symlink()):
        return
    if not folder.is_dir() or any(folder.iterdir()):
        what = "a folder of other things" if folder.is_dir() else "a file"
        raise CheckpointError(f"Asked to save a checkpoint at {folder}, but there is {what}; name a new folder.")


def _replace(staged: Path, folder: Path) -> None:
    """Rename; a folder cannot be renamed onto a full one, so an old one steps aside first."""
    if not folder.exists():
        staged.rename(folder)
        return
    aside = folder.parent / f".{folder.name}.{os.getpid()}{_ASIDE}"
    set_aside(folder, aside)
    staged.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)  # another call may have settled it; what stays goes with the next one
