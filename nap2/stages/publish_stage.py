"""stage=publish: put a trained predictor under a name into the folder of released checkpoints, with its card."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nap2.checkpoint import heads_named, load_checkpoint, load_spec, save_checkpoint, settle
from nap2.config import Config
from nap2.errors import CheckpointError, ConfigError, EvaluationError
from nap2.evaluation.pages.card import CardFacts, card, index_table
from nap2.evaluation.pages.card_protocol import fold_protocol, holdout_protocol
from nap2.evaluation.pages.further_test import FurtherTest, of_size, sizes_of
from nap2.evaluation.records.aggregate import Aggregate, aggregate
from nap2.evaluation.records.difference_log import read_differences
from nap2.evaluation.records.latest_test import of_latest_test
from nap2.evaluation.records.rows import read_rows
from nap2.stages.command.console import say
from nap2.stages.command.marked import bring_up_to_date
from nap2.stages.command.published_figures import published_figures
from nap2.stages.exam.fusion_contenders import NAME, variant_name
from nap2.stages.exam.own_contender import method_name
from nap2.stages.fitting.same_procedure import check_same_candidates, check_same_options, num_encoded
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.run_folder import RunFolder, run_name
from nap2.stages.pool.splits import load_pools
from nap2.stages.pool.stored import learning_rows, open_store, stands_in_for
from nap2.stages.pool.union import companions_of, labelled_as

MOST_REVISIONS = 3
"""First release and two replacements: whoever cites a predictor must be able to rely on it."""

BEGIN, END = "<!-- index: written by stage=publish -->", "<!-- end of index -->"


def run(config: Config) -> int:
    """Write `<paths.checkpoints>/<publish.name>/` and the index beside it; a second identical call changes nothing.

    With `split.folds` the figures are those of the cross-validation, and the predictor is the one that was fitted on
    every labelled candidate (`split.test_size=0`) beside it.
    """
    if Path(config.publish.name).name != config.publish.name:
        raise ConfigError(f"publish.name={config.publish.name} is a path; give the name that from_pretrained takes.")
    results, shipped = RunFolder.of(config).results, RunFolder.of(shipped_config(config)).checkpoint
    if not (results / "rows.jsonl").is_file():
        raise EvaluationError(f"No evaluation at {results}; run stage=evaluate first: a card shows its figures.")
    if config.split.folds and not (shipped / "spec.json").is_file():
        raise CheckpointError(
            f"No predictor of all labelled candidates at {shipped}; run stage=cae, embed and predictor with "
            "split.folds=0 split.test_size=0 first: it is what a cross-validation speaks for."
        )
    spec, tensors = load_checkpoint(shipped, "predictor")
    _check_same(config, spec, shipped)
    target = Path(config.paths.checkpoints) / config.publish.name
    revision = _revision(target, spec)
    published = published_figures(config)
    found, size = _evaluated(config, results)
    _check_evaluated(config, spec, size, shipped)
    compared = read_differences(results / "differences.jsonl", size)
    text = card(spec, _facts(config, spec, size), found, compared, published, further_tests(config, found))
    spec = {key: value for key, value in spec.items() if key not in ("components", "format_version")}
    save_checkpoint(target, tensors, {**spec, "name": config.publish.name, "revision": revision}, text)
    write_index(Path(config.paths.checkpoints))
    say(f"released: {target}, revision {revision}, {_megabytes(target):.1f} MB; card: {target / 'card.md'}")
    return 0


def write_index(root: Path) -> None:
    """Replace the index in `<root>/README.md`; the words around it are left alone."""
    page = root / "README.md"
    if not page.is_file():
        page.write_text(f"# Released predictors\n\n{BEGIN}\n{END}\n", encoding="utf-8")
    bring_up_to_date(page, BEGIN, END, lambda: index_table(_predictors_in(root)))


def _predictors_in(root: Path) -> dict[str, dict[str, Any]]:
    """Their specs, by name."""
    specs = {path.parent.name: load_spec(path.parent) for path in sorted(root.glob("*/spec.json"))}
    return {name: spec for name, spec in specs.items() if spec["kind"] == "predictor"}


def _evaluated(config: Config, results: Path) -> tuple[list[Aggregate], int]:
    """The figures of an evaluation at the train sizes at which what is published was tested, and the largest of these.

    Raises:
        EvaluationError: if it was not tested there, whatever else was.
    """
    found = aggregate(read_rows(results / "rows.jsonl"))
    if not (sizes := _tested_sizes(config, found)):
        raise EvaluationError(
            f"The evaluation at {results} is not of {method_name(config)}; run stage=evaluate with this model first: a "
            "card shows its figures."
        )
    return [one for one in found if one.row.train_size in (0, *sizes)], sizes[-1]


def _tested_sizes(config: Config, found: Sequence[Aggregate]) -> list[int]:
    """Train sizes, rising, at which what is published was tested: runs that differ in encoders share their results."""
    return sizes_of([one for one in found if one.row.method == method_name(config)])


def _facts(config: Config, spec: dict[str, Any], size: int) -> CardFacts:
    return CardFacts(
        name=config.publish.name,
        num_candidates=len(learning_rows(config, open_store(config))),
        methods=judged_methods(config),
        protocol=_protocol(config, spec, size),
        heads=heads_named(spec),
        stand_ins=stand_ins_of(config, spec.get("union", ())),
    )


def stand_ins_of(config: Config, datasets: Iterable[str]) -> dict[str, str]:
    """Those of some datasets whose labels are another dataset's, with that one; none where they are measured."""
    if config.labels == "measured":
        return {}
    return {dataset: other for dataset in datasets if (other := labelled_as(dataset)) != dataset}


def judged_methods(config: Config) -> tuple[str, str]:
    """How rows name what a card's verdict is on: NAP2 and NAP2+ on the encoder that is published."""
    return method_name(config), variant_name(config, NAME)


def further_tests(config: Config, found: Sequence[Aggregate]) -> list[FurtherTest]:
    """The evaluation's smaller train sizes, and every transfer of the same predictors that lies in a run beside it."""
    results = RunFolder.of(config).results
    fewer = [
        FurtherTest(
            title=f"With {size} labels",
            about="The same test candidates; encoders as above, heads and references fitted on fewer.",
            found=of_size(found, size),
            compared=read_differences(results / "differences.jsonl", size),
        )
        for size in reversed(sizes_of(found)[:-1])
    ]
    elsewhere = (_transfer(config, folder) for folder in transfers(config))
    return [*fewer, *(test for test in elsewhere if test is not None)]


def transfers(config: Config) -> list[Path]:
    """Result folders of other runs that tested the predictors of this run and split."""
    places = (RunFolder(split).results_from(run_name(config)) for split in Path(config.paths.runs).parent.glob("*/*"))
    return sorted(place for place in places if (place / "rows.jsonl").is_file())


def _transfer(config: Config, results: Path) -> FurtherTest | None:
    """What these rows say of what is published; None where they are of other encoders of its run alone."""
    found = aggregate(of_latest_test(read_rows(results / "rows.jsonl")))
    if not (sizes := _tested_sizes(config, found)):
        return None
    size, row = sizes[-1], found[0].row
    target = row.target if row.space == config.space.name else f"{row.space}/{row.target}"
    return FurtherTest(
        title=f"On {target}{'†' if row.stand_in else ''}",
        about="The predictors above as they are, each candidate by one that was fitted on no cell of its class.",
        found=of_size(found, size),
        compared=read_differences(results / "differences.jsonl", size),
    )


def shipped_config(config: Config) -> Config:
    """The config of the predictor that is shipped: of the fixed split, or beside folds the one without a test set."""
    if not config.split.folds:
        return config
    return replace(config, split=replace(config.split, folds=0, redraw=False, test_size=0))


def _protocol(config: Config, spec: dict[str, Any], size: int) -> str:
    split = config.split
    if not split.folds:
        return holdout_protocol(split.flavour, split.seed, split.trials)
    pools = load_pools(config)
    shipped = RunFolder.of(shipped_config(config))
    check_same_candidates(config, spec, shipped, pools)
    check_same_options(config, spec, shipped, pools, size)
    return fold_protocol([pool.splits for pool in pools], size, spec, [num_encoded(pool) for pool in pools])


def _check_same(config: Config, spec: dict[str, Any], folder: Path) -> None:
    """Refuse a predictor of another setting, interval or kind of label than that of the figures."""
    asked = {
        "setting": setting_of(config).as_dict(),
        "num_snapshots": config.snapshot.num_snapshots,
        "labels": config.labels,
        "stand_in_for": stands_in_for(config),
        "union": sorted(one.dataset for one in companions_of(config)),
    }
    found = {**spec, "union": sorted(spec.get("union", ()))}
    if other := [name for name, value in asked.items() if found.get(name) != value]:
        raise CheckpointError(
            f"{folder} was fitted with another {' and '.join(other)} than this config; publish it with its own."
        )


def _check_evaluated(config: Config, spec: dict[str, Any], tested: int, folder: Path) -> None:
    """Refuse figures of predictors of another train size; those of a cross-validation are of smaller ones anyway."""
    fitted = spec["train_size"]
    if not config.split.folds and tested != fitted:
        missing = "evaluate" if tested < fitted else "predictor"
        raise CheckpointError(
            f"{folder} was fitted on {fitted} candidates, the evaluation beside it is of predictors on up to {tested}; "
            f"run stage={missing} with split.train_sizes=[{max(fitted, tested)}] too."
        )


def _revision(target: Path, spec: dict[str, Any]) -> int:
    """Which revision of its name a predictor is; the same weights under a new card are no other."""
    settle(target)
    if not (target / "spec.json").is_file():
        return 1
    before = load_spec(target, "predictor")
    revision = int(before.get("revision", 1))
    if before["components"] == spec["components"]:
        return revision
    if revision >= MOST_REVISIONS:
        raise CheckpointError(
            f"{target} was replaced {MOST_REVISIONS - 1} times already; release under another publish.name."
        )
    return revision + 1


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6
