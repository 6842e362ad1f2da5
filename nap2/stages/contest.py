"""Who is fitted on what, and tested on which candidates: within one store, or from one store to another (transfer)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nap2.config import Config
from nap2.errors import ConfigError, EvaluationError
from nap2.evaluation.splits import ClassOf, Split
from nap2.seeding import seed_from
from nap2.snapshots.reader import SnapshotReader
from nap2.stages.candidates import space_of
from nap2.stages.embed_stage import embed, load_encoders
from nap2.stages.run_folder import RunFolder
from nap2.stages.snapshot_stage import check_device
from nap2.stages.splits import Pool, index_rows, labels_of, load_pools, open_store


@dataclass(frozen=True)
class Contest:
    """What all methods of one evaluation share.

    Attributes:
        fitted: config of the run that methods are fitted in; the target's own unless predictors are transferred.
        source: how rows name what the methods were fitted on.
        source_store: candidates that methods are fitted on.
        target_store: candidates that are tested.
        pools: training candidates and labels of the source, test candidates and ids of the target, fold by fold.
        source_ids: candidate id by arch string, in the source.
        tested: arch strings of the target that judge, in the order of all predictions.
        accuracy: label by arch string, in the target.
        results: folder of rows, tables and plots.
    """

    fitted: Config
    source: str
    source_store: SnapshotReader
    target_store: SnapshotReader
    pools: list[Pool]
    source_ids: Mapping[str, str]
    tested: list[str]
    accuracy: Mapping[str, float]
    results: Path


def contest_of(config: Config) -> Contest:
    """The contest that a config asks for.

    Raises:
        ConfigError, EvaluationError, StoreError: in one line, for whatever is not there or does not fit together.
    """
    store = open_store(config)
    if config.evaluate.source:
        return _transfer(config, store, config.evaluate.source)
    pools = load_pools(config, store)
    tested = sorted({arch for pool in pools for arch in pool.test}) if config.split.folds else pools[0].test
    if not tested:
        raise EvaluationError(
            f"split.test_size={config.split.test_size} holds no candidate back, so nothing can judge what was fitted; "
            "evaluate by cross-validation (split.folds=5) or with a test set."
        )
    first, results = pools[0], RunFolder.of(config).results
    return Contest(config, config.dataset.name, store, store, pools, first.ids, tested, first.accuracy, results)


def _transfer(config: Config, store: SnapshotReader, source: str) -> Contest:
    """Predictors of another run on this store's candidates: each on those whose class it was not fitted on.

    A candidate whose class the source tested in some fold is predicted by that fold's predictor; one that the source
    does not know, by that of a fold drawn for its class.
    """
    fitted = source_config(config, source)
    _check_fit(config, fitted, source)
    source_store = open_store(fitted)
    fit_pools = load_pools(fitted, source_store)
    rows = index_rows(config, store)
    ids, accuracy = {row.arch_str: row.id for row in rows}, labels_of(config, rows)
    class_of = space_of(config).classes["functional"]
    pools = []
    for pool in fit_pools:
        asked = test_of_fold(pool.splits[0], fit_pools, accuracy, class_of)
        folder = replace(pool.folder, on=config.name)
        splits = [replace(split, test=tuple(asked)) for split in pool.splits]
        pools.append(Pool(ids, pool.accuracy, splits, folder))
        if asked:
            encoders = load_encoders(pool.folder, check_device(config.trainer.device))
            embed(store, sorted(ids.values()), folder.embeddings, encoders, config.snapshot.num_snapshots)
    pools = [pool for pool in pools if pool.test]
    tested = sorted({arch for pool in pools for arch in pool.test})
    if len(tested) < 3:
        raise EvaluationError(
            f"{len(tested)} of {len(accuracy)} labelled candidates of {config.name} are of a class that {source} was"
            " not fitted on; give the source a test set (split.folds=5), or the target other candidates."
        )
    name = fitted.dataset.name if fitted.dataset.name != config.dataset.name else source
    results = RunFolder.of(config).results / f"from-{Path(source).name}"
    return Contest(fitted, name, source_store, store, pools, fit_pools[0].ids, tested, accuracy, results)


def test_of_fold(split: Split, fit_pools: list[Pool], arch_strs: Collection[str], class_of: ClassOf) -> list[str]:
    """The candidates, sorted, that the predictors of one fold may be tested on: none of a class they were fitted on.

    Args:
        split: any of the fold.
        fit_pools: all folds; of their trials only the split's own count.
        arch_strs: candidates of the target.
        class_of: the functional class, whatever the flavour of the split.
    """
    fitted_on = {class_of(arch) for arch in (*split.pool, *split.val)}
    open_to_test = [arch for arch in sorted(arch_strs) if class_of(arch) not in fitted_on]
    if not split.num_folds:
        return open_to_test
    folds = [p.splits[0] for p in fit_pools if split.trial in {s.trial for s in p.splits}]
    tested_in = {class_of(arch): fold.fold for fold in reversed(folds) for arch in fold.test}
    return [
        arch
        for arch in open_to_test
        if tested_in.get(class_of(arch), seed_from("fold of an unknown class", class_of(arch)) % split.num_folds)
        == split.fold
    ]


def source_config(config: Config, source: str) -> Config:
    """The config of another run's predictors, with this one's model and protocol.

    Args:
        config: of the target.
        source: name of a run beside the target's, or its folder.

    Raises:
        ConfigError: if there are no predictors, or their config cannot be read.
    """
    beside = Path(config.paths.runs).parent / source
    folder = beside if beside.is_dir() else Path(source)
    path = folder / "logs" / "predictor.yaml"
    if not path.is_file():
        raise ConfigError(f"evaluate.source={source}: no {path}; run stage=predictor of that run first.")
    try:
        found = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(path)))
    except OmegaConfBaseException as error:
        raise ConfigError(f"{path} is not a config of this version: {str(error).splitlines()[0]}") from error
    assert isinstance(found, Config)
    asked = config.split
    split = replace(found.split, flavour=asked.flavour, folds=asked.folds, redraw=asked.redraw)
    return replace(found, stage=config.stage, split=split, model=config.model)


def _check_fit(config: Config, fitted: Config, source: str) -> None:
    pairs = {
        "space.name": (config.space.name, fitted.space.name),
        "snapshot.every": (config.snapshot.every, fitted.snapshot.every),
    }
    for key, (own, other) in pairs.items():
        if own != other:
            raise ConfigError(
                f"evaluate.source={source} has {key}={other}, this run {own}; predictors do not transfer."
            )
    if config.snapshot.num_snapshots > fitted.snapshot.num_snapshots:
        raise ConfigError(
            f"evaluate.source={source} reads {fitted.snapshot.num_snapshots} snapshots, "
            f"snapshot.num_snapshots={config.snapshot.num_snapshots} are asked for; lower it."
        )
