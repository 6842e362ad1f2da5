"""Run benchmarks: `python -m benchmarks [topic …] [--quick]`. Each topic runs in its own process, on one thread."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.results_files import ROOT, figure_text, machine, verdict, write_page, write_result

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
COLOURS = {"stretch": "bold green", "goal": "green", "missed": "red"}


def main() -> int:
    """Measure, show, keep; the exit code is the number of topics that failed."""
    topics = known_topics()
    arguments = _arguments(topics)
    console = Console()
    failures = 0
    for topic in () if arguments.page else arguments.topics or topics:
        console.print(f"[bold]{topic}[/bold] …")
        result = run(topic, arguments.quick)
        failures += bool(result.get("failed"))
        console.print(_table(result))
        if not arguments.quick and (result["rows"] or result.get("failed")):
            write_result(topic, result)
    if arguments.quick:
        console.print("A quick look is shown, not kept; leave out --quick to keep figures.")
    else:
        console.print(f"Figures of all topics: {write_page()}")
    return failures


def known_topics() -> list[str]:
    """Every `bench_<topic>.py` beside this file."""
    return sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def run(topic: str, quick: bool) -> dict[str, Any]:
    """One topic's result: machine and rows, or the reason of its failure."""
    result: dict[str, Any] = {"topic": topic, "quick": quick, "machine": machine(), "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        rows_file = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "benchmarks.run_topic", topic, str(rows_file), *(["--quick"] if quick else [])]
        environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
        done = subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode == 0:
            result["rows"] = json.loads(rows_file.read_text())
        else:
            result["failed"] = _reason(done)
    return result


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"ended with exit code {done.returncode}"


def _table(result: dict[str, Any]) -> Table | str:
    if result.get("failed"):
        return f"[red]failed[/red]: {escape(result['failed'])}"
    if not result["rows"]:
        return "Nothing that can be measured on this machine."
    table = Table("what", "measured", "goal", "stretch", "reached", "note")
    for row in result["rows"]:
        cells = [figure_text(row[name], row["unit"]) for name in ("figure", "goal", "stretch")]
        reached = verdict(row)
        table.add_row(row["row"], *cells, f"[{COLOURS[reached]}]{reached}[/]", row["note"])
    return table


def _arguments(topics: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="topic", help=f"one of: {', '.join(topics)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller measurements, shown but not kept")
    parser.add_argument("--page", action="store_true", help="only write docs/performance.md from the kept results")
    arguments = parser.parse_args()
    if unknown := set(arguments.topics) - set(topics):
        parser.error(f"no topic is called {', '.join(sorted(unknown))}; known: {', '.join(topics)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
