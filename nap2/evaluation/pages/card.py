"""The card of a released predictor: what it is, on what it was fitted, how well it ranks, and where it fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nap2.evaluation.judging.differences import Difference
from nap2.evaluation.pages.beside_published import published_table
from nap2.evaluation.pages.further_test import FurtherTest, section
from nap2.evaluation.pages.tables import folded, to_markdown
from nap2.evaluation.pages.verdict import verdict
from nap2.evaluation.pages.views import budget_table, difference_table
from nap2.evaluation.records.aggregate import Aggregate
from nap2.evaluation.records.published import PublishedFigure

ENCODERS: Mapping[str, str] = {
    "cae": "autoencoders",
    "pca": "principal components instead of the paper's autoencoders",
    "random": "random weights instead of the paper's autoencoders",
}
"""What a card calls a kind of encoder."""

TERMS = "Apache-2.0, as the code. The images behind it have terms of their own: see NOTICE at the root of the project."


@dataclass(frozen=True)
class CardFacts:
    """What a card says beyond the spec of its checkpoint.

    Attributes:
        name: the released name.
        num_candidates: stored candidates, labelled or not, when the card is written.
        methods: how rows name what the verdict is on: this predictor, and NAP2+ on the same encoders.
        protocol: how the figures were measured, Markdown.
        heads: how many there are, in words.
        stand_ins: of the union's datasets, those whose labels are another dataset's, with that one.
    """

    name: str
    num_candidates: int
    methods: tuple[str, ...]
    protocol: str
    heads: str
    stand_ins: Mapping[str, str] = field(default_factory=dict)


def card(
    spec: Mapping[str, Any],
    facts: CardFacts,
    found: Sequence[Aggregate],
    compared: Sequence[Difference] = (),
    published: Sequence[PublishedFigure] = (),
    further: Sequence[FurtherTest] = (),
) -> str:
    """Markdown of the whole card.

    Args:
        spec: of the checkpoint.
        facts: see `CardFacts`.
        found: every aggregate of its evaluation.
        compared: the paired differences of the same evaluation.
        published: the paper's figures; those of the same method, datasets and snapshots are set beside ours.
        further: tests with fewer labels and on other datasets.
    """
    setting = spec["setting"]
    budget = spec["every"] * spec["num_snapshots"]
    parts = [
        f"# {facts.name}",
        f"Predicts the final accuracy of a network from its first {_budgets(spec)} mini-batches, as a fraction. "
        f"Fitted on {setting['space']} candidates trained on {_datasets(spec)}.",
        f'```python\nimport nap2\n\npredictor = nap2.Predictor.from_pretrained("{facts.name}")\n```',
        "## What it was fitted on",
        _fitted_on(spec, facts),
        "## Limits",
        _limits(spec),
        "## How well it ranks",
        facts.protocol,
        verdict(found, budget, compared, facts.methods),
        *_tables(found, compared),
        *(["## With fewer labels, and elsewhere"] if further else []),
        *(section(test, budget, facts.methods) for test in further),
    ]
    if published:
        beside = published_table(found, published)
        parts += ["## Beside the paper", to_markdown(beside).strip() if beside.rows else NO_MATCH]
    return "\n\n".join([*parts, "## Terms", TERMS]) + "\n"


MORE = "Spearman ρ, and paired differences"


def _tables(found: Sequence[Aggregate], compared: Sequence[Difference]) -> tuple[str, str]:
    """τ at the largest train size, of every method and encoder; ρ and what differences were tested, to be opened."""
    largest = max((a.row.train_size for a in found), default=0)
    shown = [a for a in found if a.row.train_size in (0, largest)]
    differences = [difference_table(compared)] if compared else []
    more = folded(MORE, [budget_table(shown, "spearman_rho"), *differences])
    return to_markdown(budget_table(shown, "kendall_tau")).strip(), more


NO_MATCH = "No published figure is of the same method, datasets and number of snapshots."


def index_table(specs: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown lines of the index of released predictors, by name."""
    lines = ["| name | space | images | mini-batches | fitted on | revision |", "|---|---|---|---|---:|---:|"]
    for name, spec in sorted(specs.items()):
        setting = spec["setting"]
        cells = (f"[{name}]({name}/card.md)", setting["space"], _datasets(spec), _budgets(spec))
        lines.append(f"| {' | '.join(cells)} | {spec['train_size']} | {spec.get('revision', 1)} |")
    return "\n".join(lines)


def _budgets(spec: Mapping[str, Any]) -> str:
    every, count = spec["every"], spec["num_snapshots"]
    return str(every) if count == 1 else f"{every} to {every * count}"


def _fitted_on(spec: Mapping[str, Any], facts: CardFacts) -> str:
    setting = spec["setting"]
    stand_in = f", a stand-in for {name}, whose accuracies it learns" if (name := spec.get("stand_in_for")) else ""
    lines = [
        f"- images: {setting['dataset']}{stand_in}",
        *_union(spec, facts.stand_ins),
        f"- recipe: {setting['recipe']['name']}, skeleton {_plain(setting['skeleton'])}",
        f"- candidates with a known accuracy that took part: {took_part(spec)} (with snapshots, when this was "
        f"written: {facts.num_candidates}); "
        f"{spec['train_size']} of these each head was fitted on{_stopping(spec)}",
        f"- heads: {facts.heads}",
        f"- snapshots: {spec['num_snapshots']}, one every {spec['every']} mini-batches{_shorter(spec)}",
        f"- encoders: {_encoders(spec)}, fitted on {spec['cae_pool']}{_unlabelled(spec)}",
        f"- seeds: {setting['recipe']['seed']} of the candidates' training{_of_heads(spec)}",
        f"- labels: {'imported' if spec['labels'] == 'truth' else 'measured'} accuracies, not part of this folder",
        f"- code: {spec['commit'] or 'unknown'}; {_plain(spec['versions'])}",
    ]
    return "\n".join(lines)


def _encoders(spec: Mapping[str, Any]) -> str:
    """What turned maps into embeddings; a spec that does not say is of the paper's."""
    kinds = {str(one["kind"]) for one in spec.get("encoders", {}).values()} or {"cae"}
    found = " and ".join(ENCODERS.get(kind, kind) for kind in sorted(kinds))
    return f"the first {count} of each modality's {found}" if (count := spec.get("directions")) else found


def took_part(spec: Mapping[str, Any]) -> int:
    """Labelled candidates of the split; the store may have grown since, which taught this predictor nothing."""
    return len(spec["fitted_on"]) - int(spec.get("num_unlabelled", 0)) + int(spec["num_test"])


def _datasets(spec: Mapping[str, Any]) -> str:
    return " and ".join((spec["setting"]["dataset"], *spec.get("union", ())))


def _union(spec: Mapping[str, Any], stand_ins: Mapping[str, str]) -> list[str]:
    """Which other datasets were learned, and that predictions stay on the scale of the first."""
    if not spec.get("union"):
        return []
    parts = []
    for name, count in spec["union"].items():
        stand_in = f", a stand-in for {stand_ins[name]}, whose accuracies it learns" if name in stand_ins else ""
        parts.append(f"{name} ({count} labelled candidates{stand_in})")
    counts = ", ".join(parts)
    return [
        f"- learned beside it, of the same architectures: {counts}; their labels were moved and stretched to mean and "
        f"deviation of those on {spec['setting']['dataset']}, on whose scale every prediction is"
    ]


def _stopping(spec: Mapping[str, Any]) -> str:
    return f", {spec['num_val']} more chose when its training stopped" if "num_val" in spec else ""


def _shorter(spec: Mapping[str, Any]) -> str:
    return f"; {fewer} of the candidates have fewer" if (fewer := spec.get("num_shorter")) else ""


def _unlabelled(spec: Mapping[str, Any]) -> str:
    return f"; {count} of these candidates have no known accuracy" if (count := spec.get("num_unlabelled")) else ""


def _of_heads(spec: Mapping[str, Any]) -> str:
    """Where the seeds of the heads stand; a predictor of an earlier version does not name them."""
    return "; those of the heads are `seeds` in `spec.json`" if "seeds" in spec else ""


def _limits(spec: Mapping[str, Any]) -> str:
    recipe = spec["setting"]["recipe"]
    return "\n".join(
        (
            f"- It knows one recipe ({recipe['optimizer']}, batch {recipe['batch_size']}, lr {recipe['lr']}). Another "
            "optimizer can change the scale of gradients many times over (App. I); its ranks may then mean nothing.",
            "- It knows one family of networks. Elsewhere its figures are ranks at best, not accuracies.",
            "- Layers beyond the 65th are not seen.",
            "- Networks at the very top lie closer together than its error; use it to discard, train what is left.",
        )
    )


def _plain(mapping: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in mapping.items())
