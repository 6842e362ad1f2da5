"""stage=publish: put a trained predictor under a name into the folder of released checkpoints, with its card."""

from pathlib import Path
from typing import Any

from nap2.checkpoint import load_checkpoint, load_spec, save_checkpoint
from nap2.config import Config
from nap2.errors import CheckpointError, EvaluationError
from nap2.evaluation.aggregate import aggregate
from nap2.evaluation.card import CardFacts, card, index_table
from nap2.evaluation.rows import read_rows
from nap2.stages.console import say
from nap2.stages.published_figures import published_figures
from nap2.stages.run_folder import RunFolder
from nap2.stages.splits import index_rows, labels_of, open_store

MOST_REVISIONS = 3
"""First release and two replacements: whoever cites a predictor must be able to rely on it."""

TERMS = "Apache-2.0, as the code. The images behind it have terms of their own: see NOTICE at the root of the project."
BEGIN, END = "<!-- index: written by stage=publish -->", "<!-- end of index -->"


def run(config: Config) -> int:
    """Write `<paths.checkpoints>/<publish.name>/` and the index beside it; a second identical call changes nothing."""
    folder = RunFolder.of(config)
    spec, tensors = load_checkpoint(folder.checkpoint, "predictor")
    table = folder.results / "table.md"
    if not table.is_file():
        raise EvaluationError(f"No evaluation at {folder.results}; run stage=evaluate first: a card shows its figures.")
    target = Path(config.paths.checkpoints) / config.publish.name
    before = _released(target)
    revision = 1 if before is None else int(before.get("revision", 1)) + 1
    if before is not None and before["components"] == spec["components"]:
        revision -= 1  # the same weights under a new card
    elif revision > MOST_REVISIONS:
        raise CheckpointError(
            f"{target} was replaced {MOST_REVISIONS - 1} times already; release under another publish.name."
        )
    published = published_figures(config)
    found = aggregate(read_rows(folder.results / "rows.jsonl"))
    text = card(spec, _facts(config, spec), found, table.read_text(), published)
    spec = {key: value for key, value in spec.items() if key not in ("components", "format_version")}
    save_checkpoint(target, tensors, {**spec, "name": config.publish.name, "revision": revision}, text)
    write_index(Path(config.paths.checkpoints))
    say(f"released: {target}, revision {revision}, {_megabytes(target):.1f} MB; card: {target / 'card.md'}")
    return 0


def write_index(root: Path) -> None:
    """Replace the index in `<root>/README.md`; the words around it are left alone."""
    specs = {path.parent.name: load_spec(path.parent) for path in sorted(root.glob("*/spec.json"))}
    page = root / "README.md"
    text = page.read_text() if page.is_file() else f"# Released predictors\n\n{BEGIN}\n{END}\n"
    head, _, rest = text.partition(BEGIN)
    page.write_text(f"{head}{BEGIN}\n{index_table(specs)}\n{END}{rest.partition(END)[2]}")


def _facts(config: Config, spec: dict[str, Any]) -> CardFacts:
    rows = index_rows(config, open_store(config))
    return CardFacts(
        name=config.publish.name,
        num_candidates=len(rows),
        num_labelled=len(labels_of(config, rows)),
        pool=str(spec["cae_pool"]),
        protocol=_protocol(config),
        terms=TERMS,
    )


def _protocol(config: Config) -> str:
    split = config.split
    return (
        f"Split flavour `{split.flavour}`, seed {split.seed}, {split.trials} trials; the tables name sizes, "
        f"budgets and test candidates. † marks a stand-in."
    )


def _released(target: Path) -> dict[str, Any] | None:
    return load_spec(target, "predictor") if (target / "spec.json").is_file() else None


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6
