"""Measure one topic in a process of its own and leave its rows as JSON: `python -m benchmarks.run_topic TOPIC FILE`."""

import argparse
import importlib
import json
from pathlib import Path

import torch


def main() -> None:
    """Run `benchmarks/bench_<topic>.py` and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topic")
    parser.add_argument("file", type=Path)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    topic = importlib.import_module(f"benchmarks.bench_{arguments.topic}")
    rows = [measurement.as_dict() for measurement in topic.measurements(arguments.quick)]
    arguments.file.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
