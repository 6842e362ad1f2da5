"""NAP2: rank neural architectures after their first 100 mini-batches.

The names below load on first use, so that `import nap2` costs nothing and inference needs torch and safetensors alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nap2.inference import Predictor, Ranking
    from nap2.snapshots.recorder import SnapshotRecorder
    from nap2.snapshots.trajectory import Trajectory

_HOME = {
    "Predictor": "nap2.inference",
    "Ranking": "nap2.inference",
    "SnapshotRecorder": "nap2.snapshots.recorder",
    "Trajectory": "nap2.snapshots.trajectory",
}

_PUBLIC_PACKAGES = ("baselines", "feature_maps", "spaces", "training")
"""What `nap2.training.RecorderCallback` and the like reach after `import nap2` alone."""

__all__ = ["Predictor", "Ranking", "SnapshotRecorder", "Trajectory", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC_PACKAGES:
        return import_module(f"nap2.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'nap2' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """The public names, which a shell completes before anything of them is loaded."""
    return sorted((*__all__, *_PUBLIC_PACKAGES))
