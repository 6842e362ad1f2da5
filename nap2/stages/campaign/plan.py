"""What a campaign would cost: candidates, hours, gigabytes and files, before anything starts."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nap2.errors import CorruptSnapshotError, StoreVersionError, counted
from nap2.schema import MAX_LAYERS, MODALITIES
from nap2.seeding import forked_random_state
from nap2.snapshots.candidate_folder import STORED_ARRAYS
from nap2.snapshots.layers import RECORDED_TYPES
from nap2.snapshots.layout import num_entries
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.store_root import check_setting
from nap2.spaces import SPACES
from nap2.stages.campaign.ledger import Counts, Ledger
from nap2.stages.campaign.retries import tries_so_far

COMPRESSED_SHARE = 0.9
"""Bytes on disk over raw float32 bytes of ragged maps: mantissas hardly compress, and there is no padding left to."""

FILES_PER_CANDIDATE = 1 + 2 * len(STORED_ARRAYS)  # metadata of the group, metadata and shard of each array
FOLDERS_PER_CANDIDATE = 1 + len(STORED_ARRAYS)

GTX_1080_TI_S_PER_100_STEPS = 9.0  # paper, Sec. 1 and 4.4
SAMPLE = 100
"""Networks whose sizes are computed, and stored candidates whose times are read; the rest is taken as like them."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of training for one candidate, and where the figure comes from."""

    seconds: float
    source: str


def plan_campaign(
    root: Path | str,
    candidates: Sequence[Candidate],
    num_snapshots: int,
    workers: int,
    *,
    steps_to_the_end: int | None = None,
    retry_failed: bool = False,
) -> str:
    """Describe a campaign in a few lines; nothing is trained and nothing is written.

    Args:
        root: the store; it need not exist.
        candidates: of one setting.
        num_snapshots: how many are wanted of each.
        workers: processes that share the hours.
        steps_to_the_end: optimizer steps of a whole run, where each is trained to the end of its recipe; None: where
            each ends with its last snapshot.
        retry_failed: whether candidates that failed are to be trained too.

    Raises:
        StoreError: if there is a store of another setting.
    """
    store, every = _existing_store(Path(root), candidates[0]), candidates[0].setting.every
    counts = _counts(store, candidates, num_snapshots, steps_to_the_end is not None, retry_failed)
    num_steps = steps_to_the_end or num_snapshots * every
    pace = _measured_pace(store, num_steps) or _published_pace(candidates[0], num_steps)
    end = f", then to the end, after {counted(steps_to_the_end, 'step')}" if steps_to_the_end else ""
    lines = (
        f"Plan for {root}: {counted(counts.total, 'candidate')} × {counted(num_snapshots, 'snapshot')}, "
        f"one every {counted(every, 'step')}{end}",
        f"  candidates  {_standing(counts)}",
        f"  hours       {_hours(pace, counts.missing, workers)}",
        f"  gigabytes   {_gigabytes(mean_bytes(candidates, num_snapshots), counts.missing, Path(root))}",
        f"  files       {counts.missing * FILES_PER_CANDIDATE:,} in {counts.missing * FOLDERS_PER_CANDIDATE:,} folders",
        *filter(None, [cut_short(store, candidates) if store else ""]),
    )
    return "\n".join(lines)


def cut_short(store: SnapshotStore, candidates: Sequence[Candidate]) -> str:
    """What to say of candidates that were copied in half: complete by the names of their folders, they are not trained.

    Empty where there is none.
    """
    if not (found := store.cut_short(candidate.id for candidate in candidates)):
        return ""
    return (
        f"{counted(len(found), 'candidate')} of {store.root} counted as complete, with files missing, as where a copy "
        f"was cut short (first: {found[0]}); stage=index names all, and whose folder is deleted is trained again"
    )


def mean_bytes(candidates: Sequence[Candidate], num_snapshots: int) -> float:
    """Bytes on disk of one candidate's maps, as a mean over (at most `SAMPLE` evenly spaced of) the candidates."""
    step = max(1, len(candidates) // SAMPLE)
    sizes = [candidate_bytes(candidate, num_snapshots) for candidate in candidates[::step]]
    return sum(sizes) / len(sizes)


def candidate_bytes(candidate: Candidate, num_snapshots: int) -> float:
    """Bytes on disk of one candidate's maps, from the sizes of its layers alone."""
    setting = candidate.setting
    with torch.device("meta"), forked_random_state():
        network = SPACES[setting.space].build(candidate.arch_str, **setting.skeleton)
    units = [len(module.weight) for module in network.modules() if isinstance(module, RECORDED_TYPES)][:MAX_LAYERS]
    return COMPRESSED_SHARE * 4 * len(MODALITIES) * num_snapshots * num_entries(units)


def _existing_store(root: Path, candidate: Candidate) -> SnapshotStore | None:
    if not (root / "zarr.json").exists():
        return None
    check_setting(root, candidate.setting)
    return SnapshotStore.open(root)


def _counts(
    store: SnapshotStore | None, candidates: Sequence[Candidate], length: int, to_the_end: bool, retry_failed: bool
) -> Counts:
    if store is None:
        return Counts(len(candidates), 0, 0, 0)
    return Ledger(store, candidates, length, to_the_end, tries_so_far(store, retry_failed)).counts()


def _measured_pace(store: SnapshotStore | None, num_steps: int) -> Estimate | None:
    """From the curves of candidates that are complete already."""
    complete = list(store.complete()) if store is not None else []
    seconds: list[float] = []
    for id in complete[:: max(1, len(complete) // SAMPLE)]:
        assert store is not None
        try:
            stored = store.read(id)
        except (CorruptSnapshotError, StoreVersionError):
            continue  # stage=index says which and why
        per_step = stored.curve.snapshot_seconds[-1] / (len(stored.trajectory) * stored.trajectory.every)
        seconds.append(per_step * num_steps)
    if not seconds:
        return None
    return Estimate(sum(seconds) / len(seconds), f"measured on {counted(len(seconds), 'candidate')} of this store")


def _published_pace(candidate: Candidate, num_steps: int) -> Estimate | None:
    """The paper's figure, for the paper's recipes, space and skeleton only."""
    setting = candidate.setting
    is_published = str(setting.recipe.get("name", "")).startswith("nasbench201") and setting.space == "nasbench201"
    if not is_published or setting.skeleton.get("cells_per_stage") != 5:
        return None
    seconds = num_steps / 100 * GTX_1080_TI_S_PER_100_STEPS
    return Estimate(
        seconds, "published for a GTX 1080 Ti, and many times that on a CPU; train a few first for a measured figure"
    )


def _standing(counts: Counts) -> str:
    again = "; retry_failed=true trains the failed ones too" if counts.failed else ""
    return (
        f"{counts.done:,} complete, {counts.failed:,} failed, {counts.running:,} at work, "
        f"{counts.missing:,} to train{again}"
    )


def _gigabytes(each: float, to_train: int, root: Path) -> str:
    return f"{to_train * each / 1e9:,.2f} ({each / 1e6:.2f} MB a candidate); {_free_bytes(root) / 1e9:,.0f} are free"


def _hours(pace: Estimate | None, to_train: int, workers: int) -> str:
    if pace is None:
        return "unknown: train a few candidates first (snapshot.num_candidates=6), then ask again"
    hours = to_train * pace.seconds / 3600
    shared = f", {hours / workers:,.2f} with {workers} workers" if workers > 1 else ""
    return f"{hours:,.2f} of training{shared} ({pace.seconds:.1f} s a candidate, {pace.source})"


def _free_bytes(root: Path) -> int:
    existing = next(folder for folder in (root.resolve(), *root.resolve().parents) if folder.exists())
    return shutil.disk_usage(existing).free
