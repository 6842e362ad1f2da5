"""stage=index: verify every stored candidate and list them all in one CSV."""

from collections import Counter
from collections.abc import Iterable

from nap2.config import Config
from nap2.errors import StoreError, counted
from nap2.snapshots.index import COMPLETE, REFUSED, IndexRow, refresh_index
from nap2.snapshots.reader import open_joint
from nap2.stages.command.console import say, track
from nap2.stages.pool.stored import say_what_is_unlisted, store_roots


def run(config: Config) -> int:
    """Check hashes of what is new (of everything with `index.full=true`). Returns 1 if something is damaged."""
    store = open_joint(store_roots(config))
    say_what_is_unlisted(store_roots(config))
    if not store.complete() and not store.failures():
        raise StoreError(f"{store.root} holds no candidate yet; run stage=snapshot first.")
    summary = refresh_index(store, config.index.full, lambda ids: track(ids, "candidates verified", len(ids)))
    states = ", ".join(f"{count} {state}" for state, count in sorted(summary.count_by_status.items()))
    say(f"{summary.path or store.root}: {states}{lengths(summary.rows)}")
    for row in summary.corrupt[:10]:
        say(f"damaged: {row.id} ({row.reason})")
    for row in [row for row in summary.rows if row.status == REFUSED][:10]:
        say(f"cannot be read: {row.id} ({row.reason})")
    return 1 if summary.corrupt else 0


def lengths(rows: Iterable[IndexRow]) -> str:
    """How many complete candidates have how many snapshots, in brackets; nothing if all are equal."""
    counts = Counter(row.snapshots for row in rows if row.status == COMPLETE)
    parts = (f"{counts[many]} with {counted(many, 'snapshot')}" for many in sorted(counts, reverse=True))
    return f" ({', '.join(parts)})" if len(counts) > 1 else ""
