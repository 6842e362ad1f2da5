"""Stands in for train.py in the tests of this folder: quick candidates, and stages that only leave a mark.

The values come from the command line, as for train.py; those of the form fake.…=… steer the disasters.
"""

import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    values = dict(text.split("=", 1) for text in sys.argv[1:])
    stage = values["stage"]
    if stage == "snapshot":
        return campaign(values)
    marks = Path("marks")
    marks.mkdir(exist_ok=True)
    name = f"{stage}-{values['cae.modality']}" if stage == "cae" else stage
    with (marks / name).open("a") as file:  # who was there before, and how often this ran
        file.write(" ".join(sorted(path.name for path in marks.iterdir() if path.name != name)) + "\n")
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    if values.get("fake.slow") == stage and restarts == 0:
        time.sleep(600)
    return 1 if values.get("fake.fail") == stage else 0


def campaign(values):
    sys.path.insert(0, str(HERE.parent / "stages"))
    from fakes_campaign import STEPS, candidates, make_store, make_train

    from nap2.sharding import shard
    from nap2.stages.campaign.stop_flag import StopFlag
    from nap2.stages.campaign.worker import run_worker

    index, count = map(int, values["snapshot.shard"].split("/"))
    disaster = {values["fake.fail"]: "diverge"} if "fake.fail" in values else {}
    if "fake.lose" in values:
        disaster[values["fake.lose"]] = "lose the GPU"
    options = {"step_s": float(values.get("fake.step_s", 0)), "journal": "journal", "disaster": disaster}
    with StopFlag.on_signals() as stop:
        asked = shard(candidates(int(values["fake.candidates"])), index, count)
        summary = run_worker(make_store("store"), asked, STEPS, make_train(**options), stop=stop)
    sys.stdout.write(summary.sentence() + "\n")
    return summary.exit_code


if __name__ == "__main__":
    sys.exit(main())
