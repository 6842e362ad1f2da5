"""Published figures, read from a JSON or CSV file, and matched to result rows."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nap2.errors import DataFileError
from nap2.evaluation.records.rows import ResultRow

BATCHES_PER_SNAPSHOT = 100
"""Mini-batches between two snapshots of a figure; rows may have another interval, so budgets are compared in these."""

SECONDS_PER_SNAPSHOT = 9.0
"""Query time of 100 mini-batches on the paper's GPU (Tables 4-6): tables 1-3 print seconds only."""

DEFAULT_CONDITIONS = frozenset(
    {None, "standard", "both", "Both (default)", "Ordered (default)", "All 12 features (default)"}
)

PUBLISHED_NAMES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "earlystopping": frozenset({"earlystopacc"}),
        "validationaccuracy": frozenset({"earlystopacc"}),
        "parameters": frozenset({"params"}),
        "l2norm": frozenset({"pnorm"}),
        "lce": frozenset({"lce", "lcem"}),
    }
)
"""The paper's names of a method (all in lower case, letters and digits only) where they are not just ours."""

PUBLISHED_CONDITIONS: Mapping[str, frozenset[str | None]] = MappingProxyType(
    {
        "nap2weightsalone": frozenset({"Weight-only", "weight-only"}),
        "nap2gradientsalone": frozenset({"Gradient-only", "gradient-only"}),
        "nap2static": frozenset({"Static (per- k MLP)"}),
        "nap2meanpool": frozenset({"MeanPool (per- k MLP)"}),
        "nap2shuffled": frozenset({"Shuffled (BiGRU)"}),
        "nap2generalalone": frozenset({"General only (7ch)"}),
        "nap2distributionalone": frozenset({"Distribution only (3ch)"}),
        "nap2normalone": frozenset({"Norm only (2ch)"}),
        "nap2generaldistributionalone": frozenset({"General + Distribution (10ch)"}),
        "nap2generalnormalone": frozenset({"General + Norm (9ch)"}),
        "nap2distributionnormalone": frozenset({"Distribution + Norm (5ch)"}),
    }
)
"""Our methods (letters and digits only) that the paper prints as NAP2 under the condition of an ablation."""

PUBLISHED_SPACES: Mapping[str, str] = MappingProxyType({"nasbench101": "nb101", "nasbench201": "nb201"})
"""How the figures name a search space, before the dataset (`nb101/cifar10`)."""

USUAL_SPACE = "nasbench201"
"""The space of a dataset that is named alone."""

PUBLISHED_RECIPES: Mapping[str, str] = MappingProxyType({"nasbench201": "sgd", "nasbench201_adamw": "adamw"})
"""How the figures name a recipe, behind the dataset (`cifar100/adamw`); they are of no other."""

USUAL_RECIPE = "sgd"
"""The recipe of a dataset that is named alone, and of a row that names none."""


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """One printed figure.

    Attributes:
        table: its number in the paper.
        metric: name in `METRICS`.
        method: as printed.
        source: dataset that the method was fitted on, as in `target`; None where it was fitted on nothing.
        target: dataset that it was judged on; `nb101/cifar10` where the search space is not NAS-Bench-201,
            `cifar100/adamw` where the candidates were not trained by SGD.
        mean: as printed.
        std: None where none is printed.
        snapshots: snapshots seen, one every 100 mini-batches; None where the table does not say.
        condition: of an ablation; None for the method itself.
        init_time_s: seconds of preparation; several rows of Tables 1-3 differ in nothing else.
        paper: where the table stands; empty: the NAP2 paper.
        train_size: labelled candidates that the method was fitted on; None where the table does not say.
    """

    table: str
    metric: str
    method: str
    source: str | None
    target: str
    mean: float
    std: float | None
    snapshots: int | None
    condition: str | None
    init_time_s: float | None
    paper: str = ""
    train_size: int | None = None

    @property
    def place(self) -> str:
        """Where it is printed."""
        prepared = f", init {self.init_time_s:.2g} s" if self.init_time_s is not None else ""
        labels = f", {self.train_size} labels" if self.train_size is not None else ""
        return ", ".join(filter(None, (self.paper, f"Table {self.table}" if self.table else ""))) + prepared + labels


def load_published(path: Path | str) -> list[PublishedFigure]:
    """Read `{"rows": [{"table", "metric", "method", "source", "target", "mean", "std", …}, …]}`, or a CSV of such rows.

    A row without `snapshots` but with `query_time_s` is given the snapshots that fit into that time.

    Raises:
        DataFileError: a file that is missing or has another shape, with the row at fault.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        rows = _csv_rows(text) if path.suffix == ".csv" else json.loads(text)["rows"]
    except OSError as error:
        raise DataFileError(
            f"No published figures at {path} ({error.strerror}); correct report.published, or set it to none."
        ) from error
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataFileError(
            f'{path} is not a JSON object with a list "rows", nor a CSV of such rows ({error}); write it as '
            "docs/published/nap2.csv is."
        ) from error
    return [_figure(row, f"{path}, row {place}") for place, row in enumerate(rows, start=1)]


def _csv_rows(text: str) -> list[dict[str, Any]]:
    """An empty cell is None; numbers where a figure has them."""
    rows = []
    for line in csv.DictReader(text.splitlines()):
        row: dict[str, Any] = {name: value or None for name, value in line.items()}
        row |= {name: float(row[name]) for name in ("init_time_s", "query_time_s") if row.get(name) is not None}
        row |= {name: int(row[name]) for name in ("snapshots", "train_size") if row.get(name) is not None}
        rows.append(row)
    return rows


def matching(row: ResultRow, published: Sequence[PublishedFigure]) -> list[PublishedFigure]:
    """The figures for the same method, metric, datasets, recipes and mini-batches, each distinct value once.

    None stands beside a row of networks of another size than the published ones.

    A method that sees no training (budget 0) is matched wherever the paper repeats its one figure, whatever the recipe.
    Where figures of the row's own train size are among those of several, the others are left out.
    """
    names, conditions = _published_as(row.method)
    source, target = (_placed(dataset, row.space, row.recipe) for dataset in (row.source, row.target))
    found: dict[tuple[object, ...], PublishedFigure] = {}
    for figure in published if not row.skeleton else ():
        is_untrained = row.query_batches == 0 and figure.source is None
        budget = None if figure.snapshots is None else figure.snapshots * BATCHES_PER_SNAPSHOT
        on = _placed(figure.target, USUAL_SPACE, USUAL_RECIPE)
        is_same = (
            _plain(figure.method) in names
            and figure.metric == row.metric
            and figure.condition in conditions
            and (on == target or (is_untrained and on[:2] == target[:2]))
            and (figure.source is None or _placed(figure.source, USUAL_SPACE, USUAL_RECIPE) == source)
            and (budget in (None, row.query_batches) or is_untrained)
        )
        if is_same:
            found.setdefault((figure.paper, figure.mean, figure.std, figure.init_time_s), figure)
    has_own_size = row.train_size in {figure.train_size for figure in found.values()}
    return [one for one in found.values() if not has_own_size or one.train_size in (None, row.train_size)]


def _published_as(method: str) -> tuple[frozenset[str], frozenset[str | None]]:
    """The paper's names of a method of ours, and the conditions of an ablation under which that is meant."""
    name = _plain(method)
    if name in PUBLISHED_CONDITIONS:
        return frozenset({"nap2"}), PUBLISHED_CONDITIONS[name]
    return PUBLISHED_NAMES.get(name, frozenset({name})), DEFAULT_CONDITIONS


def _figure(row: Mapping[str, Any], place: str) -> PublishedFigure:
    try:
        snapshots = row.get("snapshots")
        if snapshots is None and row.get("query_time_s") is not None:
            snapshots = round(row["query_time_s"] / SECONDS_PER_SNAPSHOT)
        return PublishedFigure(
            table=str(row["table"]),
            metric=str(row["metric"]),
            method=str(row["method"]),
            source=row["source"],
            target=str(row["target"]),
            mean=float(row["mean"]),
            std=None if row["std"] is None else float(row["std"]),
            snapshots=snapshots,
            condition=row.get("condition"),
            init_time_s=row.get("init_time_s"),
            paper=str(row.get("paper", "")),
            train_size=row.get("train_size"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataFileError(f"{place} is not a published figure ({type(error).__name__}: {error}).") from error


@lru_cache(maxsize=1024)
def _placed(dataset: str, space: str, recipe: str) -> tuple[str, str, str]:
    """Search space, dataset and recipe of a name `[space/]dataset[/recipe]`; those that it does not say are given."""
    parts = dataset.split("/")
    if len(parts) > 1 and parts[0] in {*PUBLISHED_SPACES, *PUBLISHED_SPACES.values()}:
        space = parts.pop(0)
    recipe = "/".join(parts[1:]) or recipe or USUAL_RECIPE
    return _plain(PUBLISHED_SPACES.get(space, space)), _plain(parts[0]), PUBLISHED_RECIPES.get(recipe, recipe)


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
