"""The splits of stored candidates, drawn once and then kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.evaluation.judging.exam import HOLDOUT
from nap2.evaluation.splitting.folds import make_folds
from nap2.evaluation.splitting.splits import ClassOf, Draw, Split, check_split, make_splits
from nap2.evaluation.splitting.strata import without_classes
from nap2.stages.command.console import say
from nap2.stages.pool.candidates import space_of
from nap2.stages.pool.encoder_name import sees_unlabelled
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.stored import labels_of, learning_rows, no_label, open_store, with_enough
from nap2.stages.pool.union import Companion, companions_of

Group = tuple[RunFolder, list[Split]]
"""Splits that share test, validation and training pool, and where what is fitted on them lies."""


@dataclass(frozen=True)
class Pool:
    """Stored candidates of one seed, their final accuracies, and splits that share test, validation and training pool.

    Attributes:
        ids: candidate id by arch string.
        accuracy: label (fraction) by arch string; candidates without one are not split.
        splits: one per trial.
        folder: where what is fitted on this pool lies.
        companions: the same architectures on other datasets, which learn beside them and are never tested.
        shorter: those with fewer snapshots than asked for, which learn and are never tested (`split.shorter`).
        unlabelled: those that teach the encoders alone (`model.unlabelled`), of no class that is tested or validates.
        own_lengths: snapshots by candidate id, without those of the companions.
    """

    ids: dict[str, str]
    accuracy: dict[str, float]
    splits: list[Split]
    folder: RunFolder
    companions: tuple[Companion, ...] = ()
    shorter: frozenset[str] = frozenset()
    unlabelled: tuple[str, ...] = ()
    own_lengths: Mapping[str, int] = field(default_factory=dict)

    @property
    def test(self) -> list[str]:
        """Arch strings that judge what is fitted on this pool."""
        return list(self.splits[0].test)

    @property
    def trials(self) -> tuple[int, ...]:
        """Indices of the splits' trials."""
        return tuple(split.trial for split in self.splits)

    @property
    def encoder_archs(self) -> list[str]:
        """Arch strings that the encoders learn from: the training pool, and those without a label that may be used."""
        return [*self.splits[0].pool, *self.unlabelled]

    @property
    def encoder_ids(self) -> list[str]:
        """Ids of these, those of companions among them."""
        return self.ids_of(self.encoder_archs)

    @property
    def num_shorter(self) -> int:
        """How many of those that anything learns from have fewer snapshots than asked for, as it stands now."""
        return len({*self.encoder_archs, *self.splits[0].val} & self.shorter)

    def ids_of(self, arch_strs: Sequence[str]) -> list[str]:
        """Ids of these architectures on the store's own dataset, then of those that each companion has, on its own."""
        others = [one.ids[arch] for one in self.companions for arch in arch_strs if arch in one.ids]
        return [self.ids[arch] for arch in arch_strs] + others

    @property
    def lengths(self) -> dict[str, int]:
        """Snapshots of every candidate by id, of the companions' too, when their bytes were checked."""
        lengths = (self.own_lengths, *(one.lengths for one in self.companions))
        return {candidate_id: count for of in lengths for candidate_id, count in of.items()}

    def labelled_elsewhere(self, arch_strs: Sequence[str]) -> dict[str, int]:
        """How many of these architectures each companion adds a labelled candidate of, by its dataset."""
        return {one.dataset: sum(arch in one.accuracy for arch in arch_strs) for one in self.companions}

    @property
    def fold_name(self) -> str:
        """Which fold this is, for messages; empty where there are none."""
        first = self.splits[0]
        return f"fold {first.fold + 1} of {first.num_folds}" if first.num_folds else ""


def load_pools(config: Config) -> list[Pool]:
    """Candidates, labels, and the saved splits, or new ones, saved: one pool, or one per fold of a cross-validation.

    Raises:
        StoreError: if the store is missing, of another setting, or holds nothing.
        EvaluationError: if there are fewer labelled candidates than the split needs, or the saved split is another.
    """
    companions, store = companions_of(config), open_store(config)
    rows = learning_rows(config, store)
    judges = {row.arch_str for row in with_enough(rows, config.snapshot.num_snapshots, store.root)}
    shorter = frozenset(row.arch_str for row in rows) - judges
    accuracy = labels_of(config, rows)
    if not accuracy:
        raise EvaluationError(no_label(config, len(rows)))
    ids, sizes = {row.arch_str: row.id for row in rows}, config.split.train_sizes
    groups = _saved(config, accuracy, judges) or _drawn(config, accuracy, judges)
    for one in companions:  # with too few in common no predictor could be fitted: said before encoders are
        for split in (split for _, splits in groups for split in splits):
            one.labels_on_scale_of(accuracy, split.train_of(min(size or len(split.pool) for size in sizes)))
    without = sorted(ids.keys() - accuracy.keys()) if sees_unlabelled(config) else []
    class_of = split_class_of(config)
    return [
        Pool(
            ids=ids,
            accuracy=accuracy,
            splits=splits,
            folder=folder,
            companions=companions,
            shorter=shorter,
            unlabelled=tuple(_none_held_out(without, splits[0], class_of)),
            own_lengths={row.id: row.snapshots for row in rows},
        )
        for folder, splits in groups
    ]


def _none_held_out(arch_strs: list[str], split: Split, class_of: ClassOf) -> list[str]:
    """Those of no class that a split tests or validates on."""
    return without_classes(arch_strs, {class_of(arch) for arch in (*split.test, *split.val)}, class_of)


def train_sizes(config: Config, pools: list[Pool]) -> list[int]:
    """`split.train_sizes` in order, 0 replaced by the largest size that every pool has."""
    whole = min(len(pool.splits[0].pool) for pool in pools)
    return list(dict.fromkeys(size or whole for size in config.split.train_sizes))


def protocol_of(config: Config) -> str:
    """How result rows name the way in which candidates are tested."""
    options = config.split
    protocol = f"{options.folds}-fold" if options.folds else HOLDOUT
    redrawn = ["redrawn"] if options.folds and options.redraw else []
    return ", ".join((protocol, *redrawn, *(["shorter learn too"] if options.shorter else [])))


def _asked_groups(config: Config) -> list[tuple[RunFolder, list[int]]]:
    """Folder and trials of every group of splits that the config asks for, in the order in which they are drawn."""
    whole, options = RunFolder.of(config), config.split
    trials = list(range(options.trials))
    if not options.folds:
        return [(whole, trials)]
    folds = range(options.folds)
    if options.redraw:
        return [(whole.fold(fold, trial), [trial]) for trial in trials for fold in folds]
    return [(whole.fold(fold), trials) for fold in folds]


def _saved(config: Config, accuracy: dict[str, float], judges: set[str]) -> list[Group]:
    """The saved groups of splits, checked; none where nothing was drawn yet, or drawing was interrupted.

    The first group is saved last, so where it lies all that were asked for at that time do.
    """
    asked = _asked_groups(config)
    if not asked[0][0].split(asked[0][1][0]).is_file():
        return []
    if not all(folder.split(trials[0]).is_file() for folder, trials in asked):
        raise EvaluationError(
            f"The saved folds under {RunFolder.of(config).root} are of fewer trials than split.trials="
            f"{config.split.trials}; a store that grew would give the others more candidates: set name= for a new run, "
            "or ask for as many trials."
        )
    class_of, groups = split_class_of(config), []
    for folder, trials in asked:
        splits = [Split.load(folder.split(trial)) for trial in trials if folder.split(trial).is_file()]
        _check_saved(config, splits, folder, len(trials))
        if len({(split.pool, split.val, split.test) for split in splits}) > 1:
            raise EvaluationError(
                f"The splits under {folder.root / 'splits'} are of several draws (two calls at once?); delete "
                f"{RunFolder.of(config).root} to draw them again."
            )
        first = splits[0]
        missing = {*first.pool, *first.val, *first.test} - accuracy.keys() | {*first.val, *first.test} - judges
        if missing:
            raise EvaluationError(
                f"{len(missing)} candidates of the saved split {folder.split(trials[0])} are not in the store any "
                f"more, or have fewer than {config.snapshot.num_snapshots} snapshots or no label there; set name= for "
                f"a new run, or delete {RunFolder.of(config).root} to draw a new one."
            )
        for split in splits:
            check_split(split, class_of)
        groups.append((folder, splits))
    return groups


def _drawn(config: Config, accuracy: dict[str, float], judges: set[str]) -> list[Group]:
    options = config.split
    asked = Draw(
        accuracy,
        config.space.name,
        config.dataset.name,
        options.flavour,
        split_class_of(config),
        num_train=None if 0 in options.train_sizes else max(options.train_sizes),
        num_val=options.val_size,
        num_trials=options.trials,
        seed=options.seed,
        judges=judges,
    )
    if options.folds:
        drawn = make_folds(asked, options.folds, options.redraw)
    else:
        drawn = [make_splits(asked, options.test_size)]
    smallest = min(len(splits[0].pool) for splits in drawn)
    if max(options.train_sizes) > smallest:  # where 0 asks for the whole pool, the other sizes were not looked at
        raise EvaluationError(
            f"split.train_sizes={options.train_sizes}: the largest pool that every split has is {smallest}; ask for "
            "no more than that."
        )
    groups = [(folder, splits) for (folder, _), splits in zip(_asked_groups(config), drawn, strict=True)]
    for folder, splits in reversed(groups):  # the first stands for all
        for split in reversed(splits):
            split.save(folder.split(split.trial))
    first = drawn[0][0]
    say(
        f"{options.flavour} split of {len(accuracy)} labelled candidates, {protocol_of(config)}: "
        f"train {len(first.train)} (pool {len(first.pool)}), validation {len(first.val)}, test {len(first.test)}"
    )
    return groups


def split_class_of(config: Config) -> ClassOf:
    """Which architectures are one class in the config's flavour of split; each is its own in `paper`."""
    flavour = config.split.flavour
    return str if flavour == "paper" else space_of(config).classes[flavour]


def _check_saved(config: Config, splits: list[Split], folder: RunFolder, num_trials: int) -> None:
    options, first = config.split, splits[0]
    num_test = len(first.test) if options.folds else options.test_size  # the folds share out what there is
    asked = (max(options.train_sizes), options.val_size, num_test, num_trials, options.seed)
    found = (len(first.train), len(first.val), len(first.test), len(splits), first.seed)
    is_short = 0 in options.train_sizes and len(first.train) < len(first.pool)
    if found[0] < asked[0] or is_short or asked[1:] != found[1:]:
        raise EvaluationError(
            f"The saved split under {folder.root / 'splits'} has (train, val, test, trials, seed) = {found}, "
            f"the config asks for {asked}; set name= for a new run, or delete {RunFolder.of(config).root}."
        )
