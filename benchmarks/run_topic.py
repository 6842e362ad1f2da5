"""Measure one topic in a process of its own and leave its rows as JSON: `python -m benchmarks.run_topic TOPIC FILE`."""

import argparse
import importlib
import json
from pathlib import Path

import torch

from nap2.stages.command.heap import keep_freed_memory


def main() -> None:
    """Run `benchmarks/bench_<topic>.py` and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topic")
    parser.add_argument("file", type=Path)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as every process of the pipeline; the references have it too
    topic = importlib.import_module(f"benchmarks.bench_{arguments.topic}")
    rows = [measurement.as_dict() for measurement in topic.measurements(arguments.quick)]
    arguments.file.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
