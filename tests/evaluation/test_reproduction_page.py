"""`docs/reproduction.md` names every table and figure once, its commands compose, and it lists what has none."""

import json
import re
from pathlib import Path

import pytest

from nap2.baselines import PROXIES
from nap2.baselines.learning_curve import LEARNING_CURVES
from nap2.evaluation.records.published import PUBLISHED_RECIPES, PublishedFigure, load_published, matching
from nap2.evaluation.records.rows import ResultRow
from nap2.feature_maps.families import FAMILIES
from nap2.models.readings import READINGS
from nap2.schema import MODALITIES
from nap2.snapshots.reader import open_snapshots
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.fitting.variants import Variant
from nap2.stages.pool.encoder_name import in_brackets

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reproduction.md").read_text()
CHECKPOINTS = DOCS.parent / "checkpoints"
COMMANDS = re.findall(r"^python train\.py (.*)$", PAGE, re.MULTILINE)


def numbers(kind: str) -> list[int]:
    """Tables or figures in the first column, ranges spelled out."""
    found = re.findall(rf"^\| {kind}s? (\d+)(?:–(\d+))? \|", PAGE, re.MULTILINE)
    return [number for first, last in found for number in range(int(first), int(last or first) + 1)]


def test_every_table_and_figure_of_the_paper_is_named_once() -> None:
    assert sorted(numbers("Table")) == list(range(1, 44))
    assert sorted(numbers("Figure")) == list(range(1, 8))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_composes(command: str) -> None:
    compose_config(command.split())


def test_the_run_of_another_space_is_spelled_out_stage_by_stage() -> None:
    """Its predictors are a source further down; the run of NAS-Bench-201 is written once for all datasets."""
    stages = [command.split()[0].removeprefix("stage=") for command in COMMANDS if "experiment=nb101" in command]
    assert stages[:6] == ["truth", "snapshot", "cae", "embed", "predictor", "evaluate"]


def of_new_classes(name: str, predictor: str) -> int:
    """Candidates of a released set of whose class a released predictor has learned from no cell."""
    spec = json.loads((CHECKPOINTS / predictor / "spec.json").read_text())
    class_of = SPACES["nasbench201"].classes["functional"]
    seen = {class_of(arch) for arch in spec["fitted_on"]}
    found = open_snapshots(CHECKPOINTS / "snapshots" / name)
    return sum(class_of(found.read(one).candidate.arch_str) not in seen for one in found.complete())


@pytest.mark.parametrize(
    ("name", "predictor"),
    [("nb201_cifar10", "nb201-cifar10"), ("nb201_tinyimagenet16", "nb201-tinyimagenet16")],
)
def test_the_exam_has_as_many_candidates_as_the_page_says(name: str, predictor: str) -> None:
    exam = PAGE.split("## An exam")[1].split("\n## ")[0]
    assert f"evaluate.source={predictor}\n" in exam
    assert re.search(rf"\b{of_new_classes(name, predictor)}\b", exam)


def our_methods() -> list[str]:
    """Every name that rows can give to a method of the faithful encoder, and to a reference."""
    features = ["all", *FAMILIES, "general+distribution", "general+norm", "distribution+norm"]
    variants = [Variant(modality, reading) for modality in ("both", *MODALITIES) for reading in READINGS]
    own = [in_brackets("cae", words=one.words) for one in variants] + [in_brackets("cae", name) for name in features]
    return [*(f"nap2{name}" for name in own), *PROXIES, "spw", *LEARNING_CURVES, "parameters", "lcsvr"]


def row_like(figure: PublishedFigure, method: str) -> ResultRow:
    """What an evaluation of this method on the figure's datasets, recipes and budget would write."""

    def parts(name: str) -> tuple[str, str, str]:
        named = name.split("/")
        space = "nasbench" + named.pop(0)[2:] if named[0].startswith("nb") else "nasbench201"
        recipes = {short: recipe for recipe, short in PUBLISHED_RECIPES.items()}
        return space, named[0], recipes.get(named[-1], "nasbench201")

    space, target, recipe = parts(figure.target)
    source = ""
    if figure.source is not None:
        of_space, of_dataset, of_recipe = parts(figure.source)
        source = "/".join(
            [*([of_space] if of_space != space else []), of_dataset, *([of_recipe] if of_recipe != recipe else [])]
        )
    snapshots = 0 if method in (*PROXIES, "spw", "parameters") else figure.snapshots or 1
    return ResultRow(
        method=method,
        space=space,
        source=source,
        target=target,
        recipe=recipe,
        metric=figure.metric,
        value=0.5,
        num_test=200,
        snapshots=snapshots,
        query_batches=100 * snapshots,
        train_size=figure.train_size or 0,
    )


def test_what_the_page_gives_no_counterpart_is_what_no_row_of_ours_can_stand_beside() -> None:
    published, methods = load_published(DOCS / "published/nap2.csv"), our_methods()
    alone = set()
    for figure in published:
        likely = [name for name in methods if (figure.source is not None) == name.startswith(("nap2", "lcsvr"))]
        if not any(_same(figure, other) for name in likely for other in matching(row_like(figure, name), [figure])):
            alone.add(figure.method if figure.method != "NAP2" else figure.condition)
    listed = PAGE.split("## What has no counterpart")[1]
    named = {name for line in listed.split("\n- ")[1:] for name in re.findall(r"`([^`]*)`", line.split(" (")[0])}
    named |= set(re.findall(r"^- `([^`]*)`", listed, re.MULTILINE))
    assert {name for name in named if "." not in name} == alone


def _same(figure: PublishedFigure, other: PublishedFigure) -> bool:
    return (figure.table, figure.mean) == (other.table, other.mean)
