"""The state of a fit on the disk: saved in one step, read whole or not at all, and removed once its result is kept."""

import time
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from nap2.snapshots.disk import explained, write_atomically
from nap2.stages.command.console import say

SAVE_EVERY_S = 60.0


def whole_state(folder: Path) -> str | None:
    """Where to go on from; None for the beginning.

    Raises:
        StoreError: if the disk refuses to read it: `is_zipfile` of the path itself would call that no archive.
    """
    last = folder / "last.ckpt"
    if not last.is_file():
        return None
    with explained("Reading the state of a fit", last):
        content = BytesIO(last.read_bytes())
    if not is_zipfile(content):  # its directory is written last
        say(f"{last} is cut short, so this fit begins again")
        return None
    return str(last)


def forget(folder: Path) -> None:
    """Remove the training state of a finished fit whose result is saved elsewhere; it is three times as large."""
    for name in ("last.ckpt", "best.ckpt"):
        (folder / name).unlink(missing_ok=True)


class BesideTheOldOne(TorchCheckpointIO):
    """Writes a state beside the one it replaces, in one step: the old one or the new one is there, whole.

    Lightning writes into `$TMPDIR`, and what is moved from there to another file system is copied over the old state:
    a process that was killed, or a disk that was full, left half of it, from which no call could go on.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Replace a file.

        Raises:
            StoreError: if the disk refuses.
        """
        content, target = BytesIO(), Path(path)
        torch.save(checkpoint, content)
        with explained("Saving the state of a fit", target):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, content.getvalue())


class ResumePoint(ModelCheckpoint):
    """`last.ckpt`, the whole state after an epoch, at most once every `SAVE_EVERY_S`.

    That of an autoencoder is 220 MB, and a small pool has an epoch a second.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, filename="last", enable_version_counter=False)
        self.saved = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if time.monotonic() - self.saved >= SAVE_EVERY_S:
            super().on_train_epoch_end(trainer, pl_module)
            self.saved = time.monotonic()
