"""Whether a candidate's folder was copied in half, without opening anything."""

import os
from pathlib import Path

from nap2.schema import ARRAYS
from nap2.snapshots.candidate_folder import STORED_ARRAYS

_FILES = (
    "zarr.json",
    *(f"{name}/zarr.json" for name in STORED_ARRAYS),
    *(f"{name}/c{'.0' * len(ARRAYS[name].axes)}" for name in ("values", "units", "counts")),
)
"""What every candidate has; a curve may be empty, or hold nothing but the fill value, and has no shard then."""


def lacks_files(folder: Path) -> bool:
    """Whether one that every candidate has is not there, as where copying was cut short; nothing is opened."""
    return any(_is_missing(os.path.join(folder, name)) for name in _FILES)


def _is_missing(path: str) -> bool:
    """Whether there is no such file; one that may not be looked at, as another user's, is not called so."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
