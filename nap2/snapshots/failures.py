"""Candidates that failed: one small JSON file each, with the reason and how often it was tried."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from nap2.errors import StoreError
from nap2.snapshots.candidate_folder import software_versions
from nap2.snapshots.disk import write_atomically
from nap2.snapshots.manifest import Candidate


@dataclass(frozen=True)
class Failure:
    """Why a candidate has no snapshots.

    Attributes:
        reason: one line.
        step: optimizer step of the last try, where it got that far.
        tries: how often it failed.
        arch_str: its architecture.
        seed: its seed.
        versions: software of the last try.
        job: the Slurm job of the last try; None outside of Slurm.
    """

    reason: str
    step: int | None
    tries: int
    arch_str: str
    seed: int
    versions: Mapping[str, str]
    job: str | None = None


def write_failure(folder: Path, candidate: Candidate, reason: str, step: int | None) -> Failure:
    """Record one more failure of a candidate; returns what now stands in its file."""
    path = folder / f"{candidate.id}.json"
    before = read_failure(path)
    tries = 1 if before is None else before.tries + 1
    versions, job = software_versions(), os.environ.get("SLURM_JOB_ID")
    failure = Failure(" ".join(reason.split()), step, tries, candidate.arch_str, candidate.seed, versions, job)
    write_atomically(path, json.dumps(asdict(failure), indent=1).encode())
    return failure


def read_failure(path: Path) -> Failure | None:
    """What one file says; None if there is none (any more: somebody tried that candidate again, and it is complete).

    Raises:
        StoreError: if it is damaged.
    """
    try:
        return Failure(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise StoreError(f"The failure record {path} is damaged ({error}); delete it to try that candidate.") from error


def read_failures(folder: Path) -> dict[str, Failure]:
    """All failures by candidate id, in sorted order; none where there is no folder, as in a copy without empty ones."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return {}
    paths = (folder / name for name in names if name.endswith(".json") and not name.startswith("."))
    return {path.stem: failure for path in paths if (failure := read_failure(path)) is not None}


def clear_failure(folder: Path, candidate_id: str) -> None:
    """Forget that a candidate failed."""
    (folder / f"{candidate_id}.json").unlink(missing_ok=True)
