"""The labels of stored candidates, and the splits that are drawn once and then kept."""

from dataclasses import dataclass
from pathlib import Path

from nap2.config import Config
from nap2.errors import EvaluationError, StoreError
from nap2.evaluation.splits import Split, check_split, make_splits
from nap2.snapshots.index import IndexRow, refresh_index
from nap2.snapshots.reader import SnapshotReader, open_snapshots
from nap2.stages.candidates import setting_of, space_of
from nap2.stages.console import say
from nap2.stages.run_folder import RunFolder


@dataclass(frozen=True)
class Pool:
    """Stored candidates of one seed, their final accuracies, and the splits drawn from them.

    Attributes:
        ids: candidate id by arch string.
        accuracy: label (fraction) by arch string; candidates without one are not split.
        splits: one per trial.
    """

    ids: dict[str, str]
    accuracy: dict[str, float]
    splits: list[Split]


def open_store(config: Config) -> SnapshotReader:
    """The config's store, if it exists, fits the config, and holds anything.

    Raises:
        StoreError: in one line, otherwise.
    """
    store = open_snapshots(Path(config.paths.store))
    differences = store.setting.differences(setting_of(config))
    if differences:
        raise StoreError(
            f"{store.root} holds another setting than this config ({'; '.join(differences[:3])}); "
            "change the config, or paths.store."
        )
    if not store.complete():
        raise StoreError(f"{store.root} holds no complete candidate; run stage=snapshot first.")
    return store


def index_rows(config: Config, store: SnapshotReader) -> list[IndexRow]:
    """Complete, intact candidates with enough snapshots, one seed (the recipe's) each."""
    seed, wanted = int(config.recipe.get("seed", 0)), config.snapshot.num_snapshots
    rows = [row for row in refresh_index(store).rows if row.status == "complete" and row.seed == seed]
    enough = [row for row in rows if row.snapshots >= wanted]
    if not enough:
        longest = max((row.snapshots for row in rows), default=0)
        raise StoreError(
            f"{store.root} holds no candidate with {wanted} snapshots (longest: {longest}); "
            "lower snapshot.num_snapshots or train further."
        )
    return enough


def labels_of(config: Config, rows: list[IndexRow]) -> dict[str, float]:
    """Final accuracy (fraction) by arch string, where it is known."""
    if config.labels == "measured":
        return {row.arch_str: row.final_accuracy for row in rows if row.final_accuracy is not None}
    from nap2.truth import TruthTable

    dataset = config.dataset.stand_in_for or config.dataset.name
    table = TruthTable.open(Path(config.paths.truth) / f"{config.space.name}.h5")
    found = {row.arch_str: table.accuracy(dataset, row.arch_str) for row in rows}
    return {arch: accuracy for arch, accuracy in found.items() if accuracy is not None}


def load_pool(config: Config, store: SnapshotReader) -> Pool:
    """Candidates, labels, and the saved splits, or new ones, saved.

    Raises:
        EvaluationError: if there are fewer labelled candidates than the split needs, or the saved split is another.
    """
    rows = index_rows(config, store)
    accuracy = labels_of(config, rows)
    if not accuracy:
        raise EvaluationError(
            f"None of {len(rows)} candidates has a {config.labels} accuracy; "
            "run stage=truth, or set labels=measured for a store trained to the end."
        )
    ids = {row.arch_str: row.id for row in rows}
    return Pool(ids, accuracy, _splits(config, accuracy))


def _splits(config: Config, accuracy: dict[str, float]) -> list[Split]:
    folder, options = RunFolder.of(config), config.split
    class_of = None if options.flavour == "paper" else space_of(config).classes[options.flavour]
    if folder.split(0).is_file():
        splits = [Split.load(folder.split(trial)) for trial in range(options.trials) if folder.split(trial).is_file()]
        _check_saved(config, splits, folder)
        missing = {arch for arch in (*splits[0].pool, *splits[0].val, *splits[0].test) if arch not in accuracy}
        if missing:
            raise EvaluationError(
                f"{len(missing)} candidates of the saved split {folder.split(0)} are not in the store any more; "
                f"delete {folder.root} to draw a new one."
            )
        for split in splits:
            check_split(split, class_of)
        return splits
    splits = make_splits(
        accuracy,
        config.space.name,
        config.dataset.name,
        options.flavour,
        class_of,
        num_train=max(options.train_sizes),
        num_val=options.val_size,
        num_test=options.test_size,
        num_trials=options.trials,
        seed=options.seed,
    )
    for trial, split in enumerate(splits):
        split.save(folder.split(trial))
    first = splits[0]
    say(
        f"{options.flavour} split of {len(accuracy)} labelled candidates: "
        f"train {len(first.train)} (pool {len(first.pool)}), validation {len(first.val)}, test {len(first.test)}"
    )
    return splits


def _check_saved(config: Config, splits: list[Split], folder: RunFolder) -> None:
    options, first = config.split, splits[0]
    asked = (max(options.train_sizes), options.val_size, options.test_size, options.trials, options.seed)
    found = (len(first.train), len(first.val), len(first.test), len(splits), first.seed)
    if found[0] < asked[0] or asked[1:] != found[1:]:
        raise EvaluationError(
            f"The saved split under {folder.root / 'splits'} has (train, val, test, trials, seed) = {found}, "
            f"the config asks for {asked}; set name= for a new run, or delete {folder.root}."
        )
