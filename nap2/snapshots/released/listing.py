"""The snapshot sets of a folder as a table: how many candidates, of what, at what cost."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

from nap2.snapshots.manifest import Setting
from nap2.snapshots.released.snapshot_set import SET_FILE, SnapshotSet

HEADER = (
    "| set | space | images | recipe | candidates | snapshots each | every | training seconds each | MB |",
    "|---|---|---|---|---:|---:|---:|---:|---:|",
)


def sets_in(folder: Path) -> list[SnapshotSet]:
    """Every set that lies in a folder, by name.

    Raises:
        CorruptSnapshotError, StoreVersionError: if one cannot be read.
    """
    return [SnapshotSet.open(path.parent) for path in sorted(folder.glob(f"*/{SET_FILE}"))]


def sets_table(sets: Iterable[SnapshotSet], other_sizes: Callable[[Setting], str]) -> str:
    """Markdown; seconds are the median over the candidates, up to the last snapshot, validation excluded.

    Args:
        sets: one line each.
        other_sizes: in what the networks of a setting differ from the published ones; empty: in nothing.
    """
    return "\n".join((*HEADER, *(_line(one, other_sizes(one.setting)) for one in sets)))


def _line(one: SnapshotSet, sizes: str) -> str:
    setting, counts = one.setting, one.complete()
    seconds = [float(one.record(candidate_id).arrays["snapshot_seconds"][-1]) for candidate_id in counts]
    cells = (
        f"`{one.root.name}`",
        f"{setting.space} ({sizes})" if sizes else setting.space,
        setting.dataset,
        str(setting.recipe["name"]),
        f"{len(counts):,}",
        _lengths(counts.values()),
        str(setting.every),
        f"{median(seconds):.0f}" if seconds else "–",
        f"{one.num_bytes_in_all / 1e6:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def _lengths(counts: Iterable[int]) -> str:
    """Snapshots of each candidate, or, where they differ, `<candidates> × <snapshots>` of each length."""
    lengths = sorted(Counter(counts).items())
    if len(lengths) == 1:
        return str(lengths[0][0])
    return ", ".join(f"{many} × {length}" for length, many in lengths) or "–"
