"""stage=release: add what the store holds and the released snapshot set lacks as the set's next part."""

from pathlib import Path

from nap2.config import Config
from nap2.errors import counted
from nap2.snapshots.reader import refuse_set
from nap2.snapshots.released import Limits, SnapshotSet, add_part
from nap2.snapshots.released.listing import sets_in, sets_table
from nap2.snapshots.store import SnapshotStore
from nap2.stages.command.console import say, track
from nap2.stages.command.marked import bring_up_to_date
from nap2.stages.pool.exam_on import other_sizes
from nap2.stages.pool.stored import check_setting

MB, KB = 1e6, 1e3
BEGIN, END = "<!-- sets: written by stage=release -->", "<!-- end of sets -->"


def run(config: Config) -> int:
    """Write one part; does nothing, and says so, where there is nothing new. Returns 1 if a candidate is damaged."""
    options, root = config.release, Path(config.paths.store)
    refuse_set(root, "give stage=release the store to take new candidates from")
    store = SnapshotStore.open(root)
    check_setting(config, store)
    limits = Limits(options.at_most, options.at_least, options.part_mb, options.set_mb, options.all_mb)
    new = add_part(
        options.folder, store, options.mantissa_bits, limits, lambda ids: track(ids, "packing candidates", len(ids))
    )
    for line in new.damaged[:10]:
        say(f"left out: {line}")
    released = SnapshotSet.open(options.folder)
    size = released.num_bytes_in_all / MB
    parts = counted(len(released.parts), "part")
    held = f"{options.folder} holds {counted(len(released.complete()), 'candidate')} in {parts}, {size:.2f} MB"
    if new.path is not None:
        each, packed = new.num_bytes / new.num_candidates / KB, counted(new.num_candidates, "candidate")
        say(f"{new.path}: {packed}, {each:.1f} kB each, {new.num_bytes / MB:.2f} MB; {held}")
    elif new.num_waiting > len(new.damaged):
        waiting = counted(new.num_waiting, "new candidate")
        say(f"only {waiting}, release.at_least={options.at_least}; nothing written; {held}")
    else:
        say(f"nothing new in {root}; {held}")
    page = Path(options.folder).parent / "README.md"
    if page.is_file():
        bring_up_to_date(page, BEGIN, END, lambda: sets_table(sets_in(page.parent), other_sizes))
    if new.path is not None and new.num_waiting > len(new.damaged):
        say(f"{new.num_waiting - len(new.damaged)} more wait: call again for the next part, or raise release.at_most")
    return 1 if new.damaged else 0
