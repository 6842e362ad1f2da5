"""Where a released predictor is found by its name."""

import os
from collections.abc import Iterator
from pathlib import Path

from nap2.errors import CheckpointError, UnknownNameError

VARIABLE = "NAP2_CHECKPOINTS"
BESIDE = Path(__file__).resolve().parents[2] / "checkpoints"


def places() -> list[Path]:
    """Folders in which names are looked up, first to last: `$NAP2_CHECKPOINTS`, then `checkpoints/` by the package."""
    return [Path(os.path.expanduser(place)) for place in (os.environ.get(VARIABLE), BESIDE) if place]


def known_checkpoints() -> Iterator[Path]:
    """Every checkpoint folder in these places, the one that its name means."""
    seen: set[str] = set()
    for place in places():
        for spec in sorted(place.glob("*/spec.json")):
            if spec.parent.name not in seen:
                seen.add(spec.parent.name)
                yield spec.parent


def find_checkpoint(name_or_folder: str | Path) -> Path:
    """The folder of a name; what is no plain name is taken for a folder.

    Raises:
        CheckpointError: if it is neither a name nor a path.
        UnknownNameError: if neither a place nor the working directory has anything of this name.
    """
    if not isinstance(name_or_folder, (str, os.PathLike)) or not str(name_or_folder):
        raise CheckpointError(
            f"Asked for the predictor {name_or_folder!r}; give the name of one (`python -m nap2 list`), or its folder."
        )
    if isinstance(name_or_folder, str) and Path(name_or_folder).name == name_or_folder:
        for place in places():
            if os.path.isfile(place / name_or_folder / "spec.json"):  # false too where we may not look
                return place / name_or_folder
        if not Path(name_or_folder).is_dir():
            raise UnknownNameError(
                f"checkpoint in {' or '.join(map(str, places()))}",
                name_or_folder,
                [folder.name for folder in known_checkpoints()],
                advice=f"Copy its folder there from the project's checkpoints/, set ${VARIABLE} to the folder that "
                "holds it, or give a path.",
            )
    return Path(os.path.expanduser(name_or_folder))
