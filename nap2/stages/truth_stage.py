"""stage=truth: import published accuracies, or your own, into the one HDF5 table of a search space."""

from pathlib import Path

from nap2.config import Config
from nap2.errors import ConfigError
from nap2.stages.command.console import say, track
from nap2.stages.pool.candidates import space_of
from nap2.truth import TruthTable, import_csv, import_tfrecord

RUNS_PER_CELL = 3  # of 108 epochs; the full file has four times as many records, and an ETA that is too early


def run(config: Config) -> int:
    """Read `truth.source`, check every arch string, and merge it into `<paths.truth>/<space>.h5`."""
    options, space = config.truth, space_of(config)
    if options.source is None:
        raise ConfigError(
            "truth.source is not set; give a CSV with arch_str and one accuracy column per dataset, "
            "or the published file of NAS-Bench-101."
        )
    table = _imported(config, Path(options.source))
    path = Path(config.paths.truth) / f"{space.name}.h5"
    before: dict[str, int] = {}
    if path.is_file():
        former = TruthTable.open(path)
        before = {dataset: len(former.known(dataset)) for dataset in former.datasets.keys() & table.datasets.keys()}
        table = former.merged(table, replace=options.replace)
    table.save(path)
    for dataset in sorted(table.datasets):
        known = f"{len(table.known(dataset))} of {len(table.arch_strs)} accuracies known"
        say(f"{path}: {dataset}, {known}{f' ({before[dataset]} before)' if dataset in before else ''}")
    return 0


def _imported(config: Config, source: Path) -> TruthTable:
    options, space = config.truth, space_of(config)
    if source.suffix != ".tfrecord":
        return import_csv(
            source,
            space.name,
            space.check,
            unit=options.unit,
            watch=lambda lines: track(lines, "lines", len(lines)),
            source=options.origin,
            licence=options.licence,
        )
    if space.arch_str_of_graph is None:
        raise ConfigError(
            f"{source.name} is a file of NAS-Bench-101, the config's space is {space.name}; set space=nasbench101."
        )
    return import_tfrecord(
        source,
        space.name,
        space.arch_str_of_graph,
        watch=lambda records: track(records, "records", RUNS_PER_CELL * space.size),
        source=options.origin,
        licence=options.licence,
    )
