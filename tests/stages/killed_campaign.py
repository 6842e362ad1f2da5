"""A real campaign under `kill -9`: `python tests/stages/killed_campaign.py --candidates 200 --folder /tmp/killed`.

Digits candidates are trained by two workers. The leading process is killed twice and workers three times, at moments
drawn at random; whenever the leader is dead, the same command is given again. Then every byte of the store is verified,
and a sample of the candidates is compared with an undisturbed run.
"""

import argparse
import csv
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETTING = ("experiment=digits", "snapshot.second_seed=0", "snapshot.to_the_end=false")
KILLS = ("leader", "worker", "worker", "leader", "worker")


@dataclass
class Report:
    """What happened, and what was found afterwards."""

    candidates: int
    kills: list[str] = field(default_factory=list)
    begun_again: int = 0
    complete: int = 0
    distinct: int = 0
    folders: int = 0
    failed: int = 0
    unknown: int = 0
    index_exit_code: int = -1
    compared: int = 0
    different: int = 0
    seconds: float = 0.0

    def is_good(self) -> bool:
        """Nothing lost, doubled, damaged or different."""
        found = {self.complete, self.distinct, self.folders}
        return found == {self.candidates} and not any((self.failed, self.unknown, self.index_exit_code, self.different))

    def sentences(self) -> str:
        """The report for a person."""
        return "\n".join(
            (
                *(f"kill -9 of {kill}" for kill in self.kills),
                f"{self.complete} of {self.candidates} candidates complete, {self.distinct} of them distinct, in "
                f"{self.folders} folders; {self.failed} failed, {self.unknown} that nobody asked for",
                f"stage=index index.full=true ended with {self.index_exit_code}; "
                f"{self.begun_again} candidates were begun more than once",
                f"{self.compared} compared with an undisturbed run: {self.different} differ",
                f"{self.seconds:.0f} s in all",
            )
        )


class KilledCampaign:
    """One store, and the processes that fill it."""

    def __init__(self, folder: Path, num_candidates: int, seed: int = 0, overrides: tuple[str, ...] = ()) -> None:
        self.folder, self.overrides, self.draw = folder, overrides, random.Random(seed)
        self.report = Report(num_candidates)
        self.leader: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, kills: tuple[str, ...] = KILLS, sample: int = 20) -> Report:
        """Train, kill, train on, verify, compare."""
        started, count = time.monotonic(), self.report.candidates
        for number, kind in enumerate(kills):
            share = (number + self.draw.random()) / (len(kills) + 1)
            self.wait_for(int(share * count))
            time.sleep(self.draw.uniform(0.0, 1.0))
            self.kill(kind)
        self.wait_for(count)
        assert self.leader is not None
        assert self.leader.wait(timeout=600) == 0, self.log()
        self.verify()
        self.compare(sample)
        self.report.seconds = time.monotonic() - started
        return self.report

    def wait_for(self, num_complete: int, seconds: float = 3600.0) -> None:
        """Until so many candidates are complete; a campaign without a leader gets one."""
        until = time.monotonic() + seconds
        while len(self.complete()) < num_complete or self.leader is None:
            assert time.monotonic() < until, self.log()
            if self.leader is None or self.leader.poll() not in (None, 0):
                self.leader = self.train("workers=2", f"snapshot.num_candidates={self.report.candidates}")
            time.sleep(0.1)

    def kill(self, kind: str) -> None:
        """`kill -9`, in the middle of somebody's work."""
        assert self.leader is not None
        at_work = self.workers_at_work()
        while not at_work and self.leader.poll() is None:
            time.sleep(0.02)
            at_work = self.workers_at_work()
        victim = self.leader.pid if kind == "leader" else self.draw.choice(at_work)
        os.kill(victim, signal.SIGKILL)
        if kind == "leader":
            self.leader.wait()
        self.report.kills.append(f"a {kind}, {len(self.complete())} of {self.report.candidates} complete")

    def verify(self) -> None:
        """All that `stage=index` finds when it reads every byte."""
        from nap2.snapshots.index import read_index

        self.report.index_exit_code = self.train(stage="index").wait()
        rows, asked = read_index(self.store / "index.csv"), self.asked()
        ids = [row.id for row in rows if row.status == "complete"]
        self.report.complete, self.report.distinct = len(ids), len({row.arch_str for row in rows})
        self.report.failed = sum(row.status != "complete" for row in rows)
        self.report.unknown = len(set(ids) - set(asked))
        self.report.folders = len(list((self.store / "candidates").iterdir()))
        lines = [line.split() for log in (self.folder / "runs/logs").glob("worker-*.log") for line in log.open()]
        begun = Counter(words[2] for words in lines if len(words) > 2 and words[2] in asked)
        self.report.begun_again = sum(times > 1 for times in begun.values())

    def compare(self, sample: int) -> None:
        """Train a sample again, one after the other and undisturbed."""
        asked = self.asked()
        chosen = self.draw.sample(sorted(asked), min(sample, len(asked)))
        with (self.folder / "sample.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["arch_str"], *([asked[id]] for id in chosen)])
        alone = self.folder / "alone"
        values = (f"snapshot.candidates={self.folder / 'sample.csv'}", f"paths.store={alone}")
        assert self.train("workers=1", *values).wait() == 0, self.log()
        self.report.compared = len(chosen)
        self.report.different = sum(content(self.store, id) != content(alone, id) for id in chosen)

    def train(self, *values: str, stage: str = "snapshot") -> "subprocess.Popen[bytes]":
        """`train.py` in a process of its own."""
        own = (f"paths.store={self.store}", f"paths.runs={self.folder / 'runs'}")
        given = {value.partition("=")[0] for value in values}
        own = tuple(value for value in own if value.partition("=")[0] not in given)
        full = ("index.full=true",) if stage == "index" else ()
        command = [sys.executable, str(ROOT / "train.py"), f"stage={stage}", *SETTING, *self.overrides, *own, *full]
        with (self.folder / "campaign.log").open("ab") as log:
            return subprocess.Popen([*command, *values], stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)

    @property
    def store(self) -> Path:
        """Where the candidates go."""
        return self.folder / "store"

    def complete(self) -> list[str]:
        """Names on the shelf."""
        shelf = self.store / "candidates"
        return os.listdir(shelf) if shelf.is_dir() else []

    def workers_at_work(self) -> list[int]:
        """Processes that hold a candidate."""
        from nap2.snapshots.claims import read_owner

        staging = self.store / ".staging"
        owners = map(read_owner, staging.iterdir()) if staging.is_dir() else ()
        return [owner.pid for owner in owners if owner is not None and Path(f"/proc/{owner.pid}").exists()]

    def asked(self) -> dict[str, str]:
        """Arch string by id of every candidate that was asked for."""
        from nap2.stages.command.compose import compose_config
        from nap2.stages.pool.candidates import candidates_of

        number = f"snapshot.num_candidates={self.report.candidates}"
        _, config = compose_config(["stage=snapshot", *SETTING, *self.overrides, number])
        return {candidate.id: candidate.arch_str for candidate in candidates_of(config)}

    def log(self) -> str:
        """The end of what the campaign said."""
        return (self.folder / "campaign.log").read_text()[-3000:]


def content(store: Path, id: str) -> str:
    """A hash of everything stored of a candidate but the seconds it took."""
    from nap2.snapshots.candidate_folder import STORED_ARRAYS
    from nap2.snapshots.store import SnapshotStore

    arrays = SnapshotStore.open(store).record(id).arrays
    names = [name for name in STORED_ARRAYS if name != "snapshot_seconds"]
    return hashlib.sha256(b"".join(arrays[name].tobytes() for name in names)).hexdigest()


def main() -> int:
    """One campaign; 0 if nothing was lost, doubled or different."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--folder", type=Path, required=True, help="empty or new; keeps store and logs")
    parser.add_argument("--sample", type=int, default=20, help="candidates to compare with an undisturbed run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    report = KilledCampaign(options.folder.resolve(), options.candidates, options.seed).run(sample=options.sample)
    sys.stdout.write(report.sentences() + "\n")
    return 0 if report.is_good() else 1


if __name__ == "__main__":
    sys.exit(main())
