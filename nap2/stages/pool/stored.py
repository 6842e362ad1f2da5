"""What the config's store holds: its candidates, and what is known of their final accuracy."""

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from nap2.config import Config
from nap2.errors import StoreError, counted
from nap2.snapshots.index import COMPLETE, REFUSED, IndexRow, IndexSummary, refresh_index
from nap2.snapshots.reader import SnapshotReader, open_joint
from nap2.snapshots.released.part import unlisted
from nap2.snapshots.released.snapshot_set import is_set
from nap2.stages.command.console import say
from nap2.stages.pool.candidates import setting_of

STORE = "store"
"""A list of candidates of this name (`rank.candidates`, `proxies.candidates`): those of the store."""


def store_roots(config: Config) -> list[Path]:
    """What is read as one: the config's store, and what stands in `also`."""
    return [Path(config.paths.store), *map(Path, config.also)]


def open_store(config: Config) -> SnapshotReader:
    """The config's store, with what is read beside it, if it exists, fits the config, and holds anything.

    Raises:
        StoreError: in one line, otherwise.
    """
    store = open_joint(store_roots(config))
    check_setting(config, store)
    say_what_is_unlisted(store_roots(config))
    if not store.complete():
        failed = len(store.failures())
        advice = f"{failed} failed, stage=index says why" if failed else "run stage=snapshot first"
        raise StoreError(f"{store.root} holds no complete candidate; {advice}.")
    return store


def say_what_is_unlisted(roots: Iterable[Path]) -> None:
    """One line for each part without a list: the set itself reads as if it were whole."""
    for path in chain.from_iterable(unlisted(root) for root in roots if is_set(root)):
        say(
            f"{path} is left out, without {path.with_suffix('.json').name}; copy the set again, or, where its release "
            "was interrupted, release again, which replaces that part"
        )


def check_setting(config: Config, store: SnapshotReader) -> None:
    """Refuse a store of candidates that another config describes.

    Raises:
        StoreError: naming the first differences.
    """
    if differences := store.setting.differences(setting_of(config)):
        raise StoreError(
            f"{store.root} holds another setting than this config ({'; '.join(differences[:3])}); "
            "change the config, or paths.store."
        )


def index_rows(config: Config, store: SnapshotReader, fewest: int | None = None, advice: str = "") -> list[IndexRow]:
    """Complete, intact candidates with enough snapshots, one seed (the recipe's) each; says how many are left out.

    Args:
        config: whose `snapshot.num_snapshots` are enough, unless `fewest` are.
        store: whose candidates.
        fewest: snapshots.
        advice: what to do about those with too few.

    Raises:
        StoreError: if there is none, or none of that seed.
    """
    seed, wanted = int(store.setting.recipe.get("seed", 0)), fewest or config.snapshot.num_snapshots
    summary = refresh_index(store)
    complete = [row for row in summary.rows if row.status == COMPLETE]
    rows = [row for row in complete if row.seed == seed]
    if complete and not rows:
        raise StoreError(
            f"{store.root} holds no candidate of the recipe's seed, {seed} "
            f"(its seeds: {', '.join(map(str, sorted({row.seed for row in complete})))}); stages read that seed alone: "
            "train the candidates with it, or fill a store whose recipe has the seed of its candidates."
        )
    _say_what_is_damaged(store, summary, {row.id for row in rows if row.snapshots >= wanted}, wanted)
    enough = with_enough(rows, wanted, store.root)
    if few := len(rows) - len(enough):
        say(f"{counted(few, 'candidate')} of {store.root} left out, with fewer than {wanted} snapshots{advice}")
    return enough


def learning_rows(config: Config, store: SnapshotReader) -> list[IndexRow]:
    """The same, of candidates that predictors may learn from: with `split.shorter` those of fewer snapshots too."""
    if config.split.shorter:
        return index_rows(config, store, 1)
    return index_rows(config, store, advice="; split.shorter=true lets them learn")


def with_enough(rows: Sequence[IndexRow], wanted: int, root: Path) -> list[IndexRow]:
    """The candidates of `root` that have so many snapshots.

    Raises:
        StoreError: if there is none.
    """
    if not (enough := [row for row in rows if row.snapshots >= wanted]):
        longest = max((row.snapshots for row in rows), default=0)
        raise StoreError(
            f"{root} holds no candidate with {wanted} snapshots (longest: {longest}); "
            "lower snapshot.num_snapshots or train further."
        )
    return enough


def _say_what_is_damaged(store: SnapshotReader, summary: IndexSummary, used: set[str], wanted: int) -> None:
    """Of damaged candidates not even the seed is known, so those of other seeds are counted too."""
    refused = [row for row in summary.rows if row.status == REFUSED]
    lost = {row.id for row in (*summary.corrupt, *refused) if row.snapshots >= wanted} - used
    if lost:
        say(
            f"{counted(len(lost), 'candidate')} of {store.root} left out, damaged or unreadable; "
            f"stage=index store={store.root} says which and why"
        )


def labels_of(config: Config, rows: list[IndexRow], dataset: str | None = None) -> dict[str, float]:
    """Final accuracy (fraction) by arch string, where it is known.

    Args:
        config: whose table of accuracies is asked.
        rows: the candidates.
        dataset: whose accuracies; None for the config's own.
    """
    if config.labels == "measured":
        return {row.arch_str: row.final_accuracy for row in rows if row.final_accuracy is not None}
    return published_labels(config, [row.arch_str for row in rows], dataset)


def stands_in_for(config: Config) -> str | None:
    """The dataset whose accuracies judge in place of the config's own; none does where they are measured."""
    return None if config.labels == "measured" else config.dataset.stand_in_for


def published_labels(config: Config, arch_strs: Sequence[str], dataset: str | None = None) -> dict[str, float]:
    """Final accuracy (fraction) by arch string, of those that the imported table knows.

    Args:
        config: whose table.
        arch_strs: of the config's space.
        dataset: whose accuracies; None for the config's own, or what its images stand in for.

    Raises:
        DataFileError: no table, or a damaged one.
        UnknownNameError: a dataset that the table does not have.
    """
    from nap2.truth import TruthTable

    table = TruthTable.open(Path(config.paths.truth) / f"{config.space.name}.h5")
    values = table.accuracies(dataset or config.dataset.stand_in_for or config.dataset.name, arch_strs)
    return {name: float(value) for name, value in zip(arch_strs, values, strict=True) if value == value}  # NaN: unknown


def no_label(config: Config, count: int) -> str:
    """What to say where none of so many candidates has a known accuracy."""
    if config.labels == "measured":
        return (
            f"Of {counted(count, 'candidate')} none was trained to its end, which labels=measured asks for; train "
            "them with snapshot.to_the_end=true, or import accuracies (stage=truth) and set labels=truth."
        )
    dataset = config.dataset.stand_in_for or config.dataset.name
    return (
        f"Of {counted(count, 'candidate')} none has an imported accuracy on {dataset}; run stage=truth, or set "
        "labels=measured for a store trained to the end."
    )
