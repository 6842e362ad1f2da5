"""A ranking as text."""

from collections.abc import Sequence

from nap2.inference.ranking import Ranking

MOST_NAMES = 8
"""Networks that one warning names; of more it says how many."""


def ranking_table(ranking: Sequence[Ranking]) -> str:
    """One line per network, best first; below it each failure, and each warning once with the networks it concerns."""
    width = max([len(place.name) for place in ranking] + [len("model")])
    lines = [f"rank  {'model':<{width}}  accuracy   spread  mini-batches  seconds"]
    for place in ranking:
        accuracy = "failed" if place.predicted_accuracy is None else f"{100 * place.predicted_accuracy:.2f} %"
        spread = "–" if place.spread is None else f"±{100 * place.spread:.2f}"
        lines.append(
            f"{place.rank:4d}  {place.name:<{width}}  {accuracy:>8}  {spread:>7}  {place.query_batches:12d}"
            f"  {place.query_time_s:7.1f}"
        )
    lines += [f"failed: {place.name}: {place.failure}" for place in ranking if place.failure is not None]
    concerned: dict[str, list[str]] = {}
    for place in ranking:
        for text in place.warnings:
            concerned.setdefault(text, []).append(place.name)
    for text, names in concerned.items():
        whom = ", ".join(names) if len(names) <= MOST_NAMES else f"{len(names)} of {len(ranking)}"
        lines.append(f"warning: {whom}: {text}")
    return "\n".join(lines)
