"""Predictors that were fitted elsewhere, on this store's candidates: each on those whose class it was not fitted on."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nap2.config import Config
from nap2.errors import CheckpointError, ConfigError, EvaluationError
from nap2.evaluation.splitting.splits import ClassOf, Split
from nap2.evaluation.splitting.strata import without_classes
from nap2.inference import Predictor
from nap2.seeding import seed_from
from nap2.snapshots.manifest import Setting
from nap2.snapshots.reader import SnapshotReader
from nap2.stages.command.console import say
from nap2.stages.command.device import check_device
from nap2.stages.exam.contest import Candidates, Contest
from nap2.stages.fitting.embedding import embed, load_encoders
from nap2.stages.fitting.variants import fitted_sizes
from nap2.stages.pool.candidates import setting_of, space_of
from nap2.stages.pool.exam_on import other_sizes
from nap2.stages.pool.run_folder import RunFolder, run_name
from nap2.stages.pool.splits import Pool, load_pools, protocol_of
from nap2.stages.pool.stored import index_rows, labels_of, no_label
from nap2.stages.pool.union import open_with_union
from nap2.training.recipe import Recipe

NO_CANDIDATES = "NAP2+ is left out: it needs the candidates behind the predictor; name its run"
OTHER_GRAPHS = "the graph regression and NAP2+ are left out: they read graphs of {}"


def target_of(config: Config, store: SnapshotReader) -> tuple[Candidates, Mapping[str, float]]:
    """The candidates that may judge: all of a store with enough snapshots, and the labels that are known.

    Raises:
        EvaluationError: if none is.
    """
    rows = index_rows(config, store)
    labels = labels_of(config, rows)
    if not labels:
        raise EvaluationError(no_label(config, len(rows)))
    return Candidates(store, {row.arch_str: row.id for row in rows}), labels


def class_in_target(config: Config, fitted: Config) -> ClassOf:
    """The functional class of the target's architectures; no class of another search space is one of the source's."""
    space = space_of(config)
    class_of = space.classes["functional"]
    return class_of if fitted.space.name == space.name else lambda arch: f"{space.name}: {class_of(arch)}"


def contest_with_run(config: Config, store: SnapshotReader, fitted: Config) -> Contest:
    """Predictors and regressions of another run.

    A candidate whose class the source tested in some fold is predicted by that fold's predictor; one that the source
    does not know, by that of a fold drawn for its class.

    Raises:
        EvaluationError: if the source has no predictors, or too few candidates are new to them.
    """
    place = run_name(fitted)
    _check_fit(config, place, fitted.snapshot.every, fitted.snapshot.num_snapshots)
    (target, accuracy), fit_pools = target_of(config, store), load_pools(fitted)
    if not (sizes := fitted_sizes(fit_pools)):
        raise EvaluationError(
            f"At no train size does {place} have the predictors of all trials; run its stage=predictor."
        )
    pools = _on_target(config, fitted, fit_pools, target, accuracy)
    tested = sorted({arch for pool in pools for arch in pool.test})
    _require_some(tested, accuracy, place, config)
    say(f"source: predictors of {place}, {protocol_of(fitted)}, fitted on {', '.join(map(str, sizes))} candidates")
    if fitted.space.name != config.space.name:
        say(OTHER_GRAPHS.format(fitted.space.name))
    return Contest(
        config=config,
        fitted=fitted,
        source=source_name(setting_of(fitted), place, config),
        learned=Candidates(open_with_union(fitted), fit_pools[0].ids),
        target=target,
        pools=pools,
        sizes=sizes,
        tested=tested,
        accuracy=accuracy,
        results=RunFolder.of(config).results_from(place),
    )


def _on_target(
    config: Config, fitted: Config, fit_pools: list[Pool], target: Candidates, accuracy: Mapping[str, float]
) -> list[Pool]:
    """The folds of the source that have candidates of the target to judge, which are embedded by each fold's encoders.

    Args:
        config: of the target.
        fitted: of the source.
        fit_pools: all folds of the source.
        target: whose candidates are embedded, tested or not.
        accuracy: label by arch string of those that may be tested.
    """
    classes = class_in_target(config, fitted), space_of(fitted).classes["functional"]
    pools = []
    for pool in fit_pools:
        judges = judges_of_fold(pool.splits[0], fit_pools, accuracy, *classes)
        tested = tuple(without_classes(judges, {classes[1](arch) for arch in pool.unlabelled}, classes[0]))
        if not tested:
            continue
        folder = replace(pool.folder, on=config.name)
        splits = [replace(split, test=tested) for split in pool.splits]
        pools.append(replace(pool, ids=dict(target.ids), splits=splits, folder=folder))
        encoders = load_encoders(pool.folder, check_device(config.trainer.device))
        embed(target.store, sorted(target.ids.values()), folder.embeddings, encoders, config.snapshot.num_snapshots)
    return pools


def contest_with_checkpoint(config: Config, store: SnapshotReader, folder: Path) -> Contest:
    """A released predictor, on the candidates of whose class nothing in it has seen a cell.

    Raises:
        CheckpointError: if it does not say what it was fitted on, or was not published.
    """
    predictor = Predictor.from_pretrained(folder)
    spec: dict[str, Any] = predictor.spec
    if "fitted_on" not in spec:
        raise CheckpointError(
            f"{folder} does not list the architectures that it was fitted on (fitted_on in spec.json), so none can be "
            "shown to be new to it; publish it again with this version."
        )
    _check_fit(config, str(folder), predictor.every, predictor.num_snapshots)
    setting: dict[str, Any] = spec["setting"]
    (target, accuracy), space = target_of(config, store), str(setting["space"])
    class_of = space_of(config).classes["functional"]
    seen = {class_of(arch) for arch in spec["fitted_on"]} if space == config.space.name else set()
    tested = without_classes(sorted(accuracy), seen, class_of)
    _require_some(tested, accuracy, folder.name, config)
    say(f"source: checkpoint {folder}, tested on {len(tested)} candidates of classes that it was not fitted on")
    say(NO_CANDIDATES if space == config.space.name else OTHER_GRAPHS.format(space))
    drawn = replace(config.split, flavour="functional", folds=0, redraw=False, shorter=bool(spec.get("num_shorter")))
    return Contest(
        config=config,
        fitted=replace(config, split=drawn),
        source=source_name(Setting(**setting), folder.name, config),
        learned=Candidates(store, {}),
        target=target,
        pools=[],
        sizes=[int(spec["train_size"])],
        tested=tested,
        accuracy=accuracy,
        results=RunFolder.of(config).results_from(folder.resolve().name),
        released=predictor,
    )


def judges_of_fold(
    split: Split,
    fit_pools: list[Pool],
    arch_strs: Collection[str],
    class_of: ClassOf,
    source_class_of: ClassOf | None = None,
) -> list[str]:
    """The candidates, sorted, that the predictors of one fold may be tested on: none of a class they were fitted on.

    Args:
        split: any of the fold.
        fit_pools: all folds; of their trials only the split's own count.
        arch_strs: candidates of the target.
        class_of: the functional class in the target, whatever the flavour of the split.
        source_class_of: that in the source, where it is another search space.
    """
    source_class_of = source_class_of or class_of
    fitted_on = {source_class_of(arch) for arch in (*split.pool, *split.val)}
    open_to_test = without_classes(sorted(arch_strs), fitted_on, class_of)
    if not split.num_folds:
        return open_to_test
    folds = [p.splits[0] for p in fit_pools if split.trial in {s.trial for s in p.splits}]
    tested_in = {source_class_of(arch): fold.fold for fold in reversed(folds) for arch in fold.test}
    return [
        arch
        for arch in open_to_test
        if tested_in.get(class_of(arch), seed_from("fold of an unknown class", class_of(arch)) % split.num_folds)
        == split.fold
    ]


def _require_some(tested: Collection[str], accuracy: Mapping[str, float], source: str, config: Config) -> None:
    if len(tested) < 3:
        raise EvaluationError(
            f"{len(tested)} of {len(accuracy)} labelled candidates of {config.name} are of a class that "
            f"{source} was not fitted on; give the source a test set (split.folds=5), or the target other candidates."
        )


def source_name(source: Setting, place: str, config: Config) -> str:
    """How rows name a source: by its dataset, with space, recipe and sizes where these differ from the target's.

    Sizes of another space are named where they are not the published ones. Where nothing differs it is `place`.
    """
    target = setting_of(config)
    is_elsewhere = source.space != target.space
    recipes = [Recipe.from_dict(one.recipe).label for one in (source, target)]
    sizes = [other_sizes(source), "" if is_elsewhere else other_sizes(target)]
    parts = [
        *([source.space] if is_elsewhere else []),
        source.dataset,
        *(theirs or "published sizes" for theirs, own in (recipes, sizes) if theirs != own),
    ]
    return "/".join(parts) if parts != [target.dataset] else place


def _check_fit(config: Config, source: str, every: int, num_snapshots: int) -> None:
    if config.snapshot.every != every:
        raise ConfigError(
            f"The source {source} has snapshot.every={every}, this run {config.snapshot.every}; "
            "predictors do not transfer."
        )
    if config.snapshot.num_snapshots > num_snapshots:
        raise ConfigError(
            f"The source {source} reads {num_snapshots} snapshots, snapshot.num_snapshots="
            f"{config.snapshot.num_snapshots} are asked for; lower it."
        )
