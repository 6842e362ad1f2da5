"""Peak memory of stage=proxies by the number of networks, of its main process and of its worker, kept for the page.

    python -m benchmarks.proxies_memory 500 15625 [overrides of train.py …]

The networks are small (C = 4, N = 1, four images a batch): what grows with their number is bookkeeping, and a larger
network would only hide it. Runs are kept below `--runs`, so an interrupted study continues, and a larger one adds the
networks that are missing; the peak is then that of the last call. `python -m nap2.evaluation.proxies_page docs/proxies`
brings the figures (`docs/proxies/memory.json`) into the page.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.results_files import ROOT, machine
from benchmarks.scale_work import peak_kb

RESULT = ROOT / "docs" / "proxies" / "memory.json"
PROXIES = ("params", "l2_norm", "naswot")
SETTING = (
    "stage=proxies",
    "experiment=nb201_cifar10",
    "space.skeleton.stem_channels=4",
    "space.skeleton.cells_per_stage=1",
    "snapshot.one_per_class=false",
    "proxies.known_only=false",
    "proxies.batch_size=4",
    f"proxies.names=[{','.join(PROXIES)}]",
    "workers=1",
)
EVERY_S = 1.0


def main() -> int:
    """Run the stage once for each number of networks, and keep the peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="+", type=int, help="how many networks, for example 500 15625")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "proxies_memory", help="where scores are kept")
    arguments, overrides = parser.parse_known_args()
    rows = [measured(count, arguments.runs / str(count), overrides) for count in arguments.networks]
    notes = [
        "`python -m benchmarks.proxies_memory`: the high-water mark (VmHWM) of each process, read every second while "
        "the stage runs with one worker on cells drawn from the whole space (`proxies.known_only=false`).",
        "A worker holds its images; what it holds beyond them is one network at a time. The main process holds a "
        "number for each network and proxy.",
    ]
    RESULT.write_text(json.dumps({"machine": machine(), "rows": rows, "notes": notes}, indent=1) + "\n")
    print(RESULT)
    return 0


def measured(networks: int, runs: Path, overrides: list[str]) -> dict[str, Any]:
    """One run of the stage, watched from its start to its end."""
    command = [sys.executable, "train.py", *SETTING, f"proxies.num_candidates={networks}", f"paths.runs={runs}"]
    stage = subprocess.Popen([*command, *overrides], cwd=ROOT)
    peaks: dict[int, int] = {}
    while stage.poll() is None:
        for pid in tree(stage.pid):
            peaks[pid] = max(peaks.get(pid, 0), peak_kb(pid))
        time.sleep(EVERY_S)
    if stage.returncode:
        sys.exit(f"stage=proxies ended with exit code {stage.returncode}; its own line above says why.")
    main_kb = peaks.pop(stage.pid)
    return {
        "what": f"{', '.join(PROXIES)}; C = 4, N = 1, batch 4",
        "networks": networks,
        "scored": sum(len(path.read_text().splitlines()) for path in runs.glob("proxies/scores-*.jsonl")),
        "main_kb": main_kb,
        "worker_kb": max(peaks.values(), default=None),
    }


def tree(pid: int) -> Iterator[int]:
    """`pid` and all that descends from it; a process that ends meanwhile is left out."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:
            continue
        for child in found:
            yield from tree(int(child))


if __name__ == "__main__":
    raise SystemExit(main())
