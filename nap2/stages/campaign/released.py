"""Candidates that need no training, because a released snapshot set of the same setting holds them."""

from collections.abc import Sequence
from pathlib import Path

from nap2.config import Config
from nap2.errors import ConfigError
from nap2.snapshots.manifest import Candidate, Setting
from nap2.snapshots.released import SnapshotSet
from nap2.snapshots.released.listing import sets_in
from nap2.snapshots.store import SnapshotStore
from nap2.stages.pool.candidates import candidates_of, setting_of
from nap2.stages.pool.stored import store_roots


def released_sets(folder: Path, setting: Setting) -> list[SnapshotSet]:
    """Sets directly under `folder` that are of a setting, sorted by name.

    Raises:
        CorruptSnapshotError, StoreVersionError: if one there cannot be read.
    """
    return [one for one in sets_in(folder) if not setting.differences(one.setting)]


def without_released(
    folder: Path, candidates: Sequence[Candidate], num_snapshots: int, to_the_end: bool
) -> tuple[list[Candidate], list[str]]:
    """Candidates that still have to be trained, and one line for each set that holds some of the others.

    Args:
        folder: of the released sets; it need not exist.
        candidates: of one setting, at least one.
        num_snapshots: how many are wanted of each.
        to_the_end: whether final accuracies are wanted too.
    """
    left, lines = list(candidates), []
    for one in released_sets(folder, candidates[0].setting):
        rest = [c for c in left if not one.has(c.id, num_snapshots, to_the_end)]
        if count := len(left) - len(rest):
            lines.append(
                f"{count} of {len(candidates)} candidates are in the released set {one.root} and are not trained "
                f"again (store={one.root} reads them, also=[{one.root}] with the others; snapshot.skip_released=false "
                "trains them)"
            )
        left = rest
    return left, lines


def refuse_unread(config: Config) -> None:
    """Refuse a chain of stages in which some candidates, being released, would be neither trained nor read.

    Raises:
        ConfigError: saying how many, and what reads or trains them.
        CorruptSnapshotError, StoreVersionError: if a released set cannot be read.
    """
    options, roots = config.snapshot, store_roots(config)
    if not options.skip_released:
        return
    read = [root.resolve() for root in roots]
    sets = released_sets(Path(config.paths.checkpoints) / "snapshots", setting_of(config))
    if not (unread := [one for one in sets if one.root.resolve() not in read]):
        return
    own = SnapshotStore.open(roots[0]).complete() if (roots[0] / "zarr.json").exists() else {}
    asked = candidates_of(config)
    missing = [c for c in asked if own.get(c.id, 0) < options.num_snapshots]
    for one in unread:
        if count := sum(one.has(c.id, options.num_snapshots, options.to_the_end) for c in missing):
            raise ConfigError(
                f"{count} of {len(asked)} candidates are in the released set {one.root}: they would not be trained "
                f"again, and the stages after that would not read them; add also=[{one.root}], or "
                "snapshot.skip_released=false."
            )
