"""Training time: the wall clock, with pauses for whatever is no part of training."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Counts seconds from `start` on.

    Args:
        seconds: what earlier processes of the same run have counted already.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._counted = seconds
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._counted + (0.0 if self._since is None else time.perf_counter() - self._since)

    def start(self) -> None:
        """Begin, or go on after `stop`."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Stand still."""
        self._counted, self._since = self.seconds, None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time that a block takes out."""
        is_running = self._since is not None
        self.stop()
        try:
            yield
        finally:
            if is_running:
                self.start()
