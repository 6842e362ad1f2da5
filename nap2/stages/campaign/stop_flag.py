"""How a worker is asked to save its work and leave: by a signal, by Slurm, or because its parent died."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from nap2.stages.campaign.slurm_signals import requeue_this_job

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


@dataclass
class StopFlag:
    """Truthy when called once somebody has asked to stop; training looks at it after every step.

    Attributes:
        reason: who asked, in words; None while nobody has.
        by_signal: the signal that asked, if it was one.
        lost_device: whether this process can do nothing more on its GPU; a fresh one may.
        may_return: whether the Slurm job goes back into the queue although no signal asked for that.
    """

    reason: str | None = None
    by_signal: signal.Signals | None = None
    lost_device: bool = False
    may_return: bool = False

    def __call__(self) -> bool:
        """Whether to save and leave."""
        return self.reason is not None

    def set(self, reason: str) -> None:
        """Ask to stop; the first reason stays."""
        self.reason = self.reason or reason

    @classmethod
    @contextmanager
    def on_signals(cls, requeue: bool = True) -> Iterator["StopFlag"]:
        """A flag that Ctrl-C, SIGTERM and SIGUSR1 set for the block; a second Ctrl-C interrupts at once.

        SIGUSR1 is what Slurm sends shortly before the time limit (`--signal=B:USR1@90`): when the block ends after it,
        the job goes back into the queue (unless `requeue` is False). After SIGTERM it does not: whoever sent
        it decides (a preempted job is requeued by Slurm itself, a cancelled one must stay away).
        Without any signal it does if `may_return` was set.
        """
        flag = cls()
        before = {number: signal.signal(number, flag._receive) for number in SIGNALS}
        try:
            yield flag
            if requeue and (flag.by_signal is signal.SIGUSR1 or (flag.by_signal is None and flag.may_return)):
                requeue_this_job()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def watch_pipe(self, descriptor: int) -> None:
        """Ask to stop when the other end of a pipe closes: a process that was killed cannot say so itself."""

        def wait_for_the_end() -> None:
            while os.read(descriptor, 1):
                pass
            self.set("the process that started this worker is gone")

        threading.Thread(target=wait_for_the_end, name="nap2-parent-watch", daemon=True).start()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.by_signal is signal.SIGINT:
            raise KeyboardInterrupt
        self.by_signal = self.by_signal or signal.Signals(number)
        self.set(f"received {signal.Signals(number).name}")
