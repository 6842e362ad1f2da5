"""A Lightning Trainer that writes nothing, says nothing, and leaves signals to whoever called."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningModule, Trainer

PLUGINS: Mapping[str, Literal["32-true", "bf16-mixed"]] = {"float32": "32-true", "bf16": "bf16-mixed"}
"""What Lightning calls the precisions of a recipe."""


def fit(
    module: LightningModule,
    batches: Iterable[Any],
    callbacks: list[Callback],
    device: torch.device,
    num_steps: int,
    precision: str = "float32",
) -> None:
    """Train `module` on `num_steps` batches, as one Lightning epoch: set-up costs milliseconds, not seconds.

    Args:
        module: what is trained.
        batches: at least `num_steps` of them.
        callbacks: in the order in which they act.
        device: where.
        num_steps: optimizer steps.
        precision: of the recipe; `bf16` holds for forward passes of training only, callbacks compute in float32.

    Raises:
        KeyboardInterrupt: on Ctrl-C, which Lightning would turn into an exit.
        SystemExit: on SIGTERM, after the step at hand.
    """
    on_gpu = device.type == "cuda"
    with _quiet(), _own_interrupt():
        trainer = Trainer(
            accelerator="gpu" if on_gpu else "cpu",
            devices=[device.index or 0] if on_gpu else 1,
            # Otherwise Lightning finds Slurm by itself, checks its task counts, and arms its own requeueing.
            plugins=[LightningEnvironment()],
            precision=PLUGINS[precision],
            benchmark=False,
            max_epochs=1,
            max_steps=num_steps,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, train_dataloaders=batches)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's tips and its warnings about a run that is as we want it."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _own_interrupt() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt: Lightning exits instead, and leaves the signal ignored."""
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if is_main:
            signal.signal(signal.SIGINT, handler)
