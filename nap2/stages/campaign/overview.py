"""What a person sees of a campaign: one live line on a terminal, a line every half minute in a batch log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.live import Live
from rich.text import Text

from nap2.snapshots.manifest import Candidate
from nap2.stages.campaign.ledger import Counts
from nap2.stages.command.console import LINE_EVERY_S, console, duration, say

UPDATE_EVERY_S = 0.5


class Overview(Protocol):
    """Is told how the campaign stands."""

    def update(self, counts: Counts, candidate: Candidate | None) -> None:
        """New counts, and the candidate that this process works on, if it works on one."""

    def note(self, text: str) -> None:
        """Something worth a line of its own."""


@dataclass
class Pace:
    """Rate and remaining time, from how many candidates were settled since the first look."""

    _settled: int | None = None
    _started: float = field(default_factory=time.monotonic)

    def describe(self, counts: Counts, now: float | None = None) -> str:
        """`12 of 200 done, 2 running, 1 failed, 310 an hour, 0:36:23 left`."""
        now = time.monotonic() if now is None else now
        settled = counts.done + counts.failed
        if self._settled is None:
            self._settled, self._started = settled, now
        parts = [f"{counts.done} of {counts.total} done", f"{counts.running} running", f"{counts.failed} failed"]
        fresh, seconds = settled - self._settled, now - self._started
        if fresh > 0 and seconds > 0:
            parts.append(f"{3600 * fresh / seconds:,.0f} an hour")
            parts.append(f"{duration(seconds / fresh * counts.missing)} left")
        return ", ".join(parts)


@dataclass
class LineOverview:
    """Lines with an ETA, at most one every `every_s` seconds; for batch logs."""

    every_s: float = LINE_EVERY_S
    pace: Pace = field(default_factory=Pace)
    _last: float = field(default_factory=time.monotonic)

    def update(self, counts: Counts, candidate: Candidate | None) -> None:
        """Say the counts, unless that was done a moment ago."""
        line, now = self.pace.describe(counts), time.monotonic()
        if now - self._last >= self.every_s and counts.missing:
            say(line)
            self._last = now

    def note(self, text: str) -> None:
        """Say it."""
        say(text)


@dataclass
class LogOverview:
    """One line for each candidate that is begun; for the log of one worker of several."""

    def update(self, counts: Counts, candidate: Candidate | None) -> None:
        """Say which candidate is begun."""
        if candidate is not None:
            self.note(f"{candidate.id} seed {candidate.seed} {candidate.arch_str}")

    def note(self, text: str) -> None:
        """Say it, with the time."""
        say(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")


@dataclass
class LiveOverview:
    """One line that is rewritten in place, and notes above it; for terminals."""

    live: Live
    pace: Pace = field(default_factory=Pace)

    def update(self, counts: Counts, candidate: Candidate | None) -> None:
        """Rewrite the line."""
        filled = round(30 * (counts.done + counts.failed) / max(1, counts.total))
        self.live.update(Text(f"{'━' * filled}{'╌' * (30 - filled)} {self.pace.describe(counts)}"))

    def note(self, text: str) -> None:
        """Print it above the line."""
        say(text)


@contextmanager
def shown_overview() -> Iterator[Overview]:
    """The overview that suits where the output goes."""
    if not console.is_terminal:
        yield LineOverview()
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        yield LiveOverview(live)
