"""Which code and which libraries a result came from."""

import subprocess
from functools import lru_cache
from pathlib import Path

from nap2.versions import version_of

LIBRARIES = ("nap2", "torch", "lightning", "zarr", "numpy", "scipy", "scikit-learn")


def versions() -> dict[str, str]:
    """Versions of the libraries whose change could change a number."""
    return {name: version_of(name, "not installed") for name in LIBRARIES}


@lru_cache(maxsize=1)
def commit() -> str:
    """The checkout's commit, with a `+` if it had changes; empty outside a checkout."""
    root = Path(__file__).resolve().parents[1]
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        )
        dirty = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=root, check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+" if dirty else "")
