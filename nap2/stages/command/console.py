"""What a person sees while a stage runs, and the log it leaves: a bar on a terminal, lines with an ETA elsewhere."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nap2.config import Config
from nap2.snapshots.disk import explained

Item = TypeVar("Item")
LINE_EVERY_S = 30.0

console = Console(highlight=False)
if not console.is_terminal:
    console.width = 120  # a batch log has no width of its own


@dataclass
class RunLog:
    """`<folder>/<stage>.log` beside the config it ran with; both appear with the first line that is said."""

    folder: Path
    stage: str
    config_text: str

    def write(self, text: str) -> None:
        """Append one dated line.

        Raises:
            StoreError: if the disk refuses; raised in the middle of a candidate, it blames none.
        """
        with explained("Keeping the log", self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)  # the tasks of an array begin at the same moment
            config = self.folder / f"{self.stage}.yaml"
            if self.config_text:
                config.write_text(self.config_text, encoding="utf-8")
                self.config_text = ""
            with (self.folder / f"{self.stage}.log").open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")


_logs: list[RunLog] = []


@contextmanager
def logged_run(tree: DictConfig, config: Config) -> Iterator[None]:
    """Keep what the stage says in `<runs>/logs/`."""
    _logs.append(RunLog(Path(config.paths.runs) / "logs", config.stage, OmegaConf.to_yaml(tree, resolve=True)))
    try:
        yield
    finally:
        _logs.pop()


def say(text: str) -> None:
    """Print one line and keep it in the log of the run."""
    console.print(text, soft_wrap=True, markup=False)
    if _logs:
        _logs[-1].write(text)


def track(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """Iterate with a bar on a terminal, or with a line and an ETA every 30 s elsewhere."""
    if console.is_terminal:
        with progress_bar() as bar:
            yield from bar.track(items, total=total, description=what)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= LINE_EVERY_S and done < total:
            say(f"{what}: {done} of {total}, {duration((now - start) / done * (total - done))} left")
            last = now


def progress_bar() -> Progress:
    """The project's one style of progress bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console)


def duration(seconds: float) -> str:
    """`0:01:23`."""
    return str(timedelta(seconds=round(seconds)))
