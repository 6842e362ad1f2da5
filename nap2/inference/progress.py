"""How far a ranking is, where a line once printed cannot be changed: in a file or a batch job."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

LINE_EVERY_S = 30.0


class ProgressLines:
    """A line for each network that is done, and one every 30 s in between, each with the time that is left.

    Args:
        names: of the networks, in the order in which they are trained.
        query_batches: mini-batches of each.
        tell: is given each line.
    """

    def __init__(self, names: Sequence[str], query_batches: int, tell: Callable[[str], None]) -> None:
        self.names, self.query_batches, self.tell = list(names), query_batches, tell
        self.started = self.last = time.monotonic()

    def __call__(self, name: str, done: int) -> None:
        """Note that a network has seen so many mini-batches."""
        now = time.monotonic()
        if done < self.query_batches and now - self.last < LINE_EVERY_S:
            return
        before = self.names.index(name)
        seen, total = before * self.query_batches + done, len(self.names) * self.query_batches
        left = timedelta(seconds=round((now - self.started) / seen * (total - seen)))
        what = f"model {before + 1} of {len(self.names)}, {name}"
        self.tell(f"{what}: {done} of {self.query_batches} mini-batches, {left} left")
        self.last = now
