"""How a candidate is trained: recipe, LightningModule, and the callbacks that watch it.

`RecorderCallback` loads on first use, so that the recipes can be read without importing Lightning.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nap2.training.recorder_callback import RecorderCallback

__all__ = ["RecorderCallback"]


def __getattr__(name: str) -> Any:
    if name != "RecorderCallback":
        raise AttributeError(f"module 'nap2.training' has no attribute {name!r}")
    from nap2.training.recorder_callback import RecorderCallback

    return RecorderCallback
