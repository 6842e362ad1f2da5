"""Whether a method of ours earns its keep: beside the best reference that costs no more, the gap tested."""

from collections.abc import Iterable, Sequence

from nap2.evaluation.judging.differences import Difference
from nap2.evaluation.judging.metrics import TAU
from nap2.evaluation.records.aggregate import Aggregate
from nap2.evaluation.records.as_text import figure, method_label

METHODS_OF_OURS = ("nap2", "nap2_plus")
"""First words of the names that rows give to our methods; an encoder may follow in brackets."""


def verdict(
    found: Sequence[Aggregate],
    budget: int,
    compared: Sequence[Difference] = (),
    judged: Sequence[str] | None = None,
) -> str:
    """Each judged method's τ at a budget, the best reference's that costs no more, and what the difference amounts to.

    A reference counts at its largest budget within, where its difference is tested.

    Args:
        found: every aggregate of an evaluation; those of the largest train size count.
        budget: mini-batches.
        compared: paired differences, each a method minus the one that it is held `against`.
        judged: names of methods of ours; None: all of them.
    """
    taus = [a for a in found if a.row.metric == TAU.name and a.mean is not None and a.row.query_batches <= budget]
    largest = max((a.row.train_size for a in taus), default=0)
    taus = [a for a in taus if a.row.train_size in (0, largest)]
    ours = [a for a in taus if is_ours(a) and a.row.query_batches == budget]
    ours = [a for a in ours if judged is None or a.row.method in judged]
    others = _at_their_largest(a for a in taus if not is_ours(a))
    if not ours:
        return f"Nothing of ours was evaluated at {budget} mini-batches."
    if not others:
        return " ".join(f"{method_label(a)} reaches τ {figure(a)} after {budget} mini-batches." for a in ours)
    best = max(others, key=lambda a: a.mean or 0.0)
    free = " and needs no training of the candidate" if best.row.query_batches == 0 else ""
    sentences = [f"After {budget} mini-batches the best reference is {method_label(best)}, τ {figure(best)}{free}."]
    return " ".join([*sentences, *(_sentence(a, best, others, compared) for a in ours)])


def _sentence(own: Aggregate, best: Aggregate, others: Sequence[Aggregate], compared: Sequence[Difference]) -> str:
    is_ahead = (own.mean or 0.0) > (best.mean or 0.0)
    text = f"{method_label(own)}, τ {figure(own)}, {'is ahead of' if is_ahead else 'does not reach'} it"
    asked = (own.row.method, TAU.name, own.row.query_batches)
    held = [d for d in compared if (d.against, d.metric, d.against_batches) == asked]
    pairs = {d.method: d for d in held if d.verdict != "undefined"}
    tested = [a for a in others if a.row.method in pairs]
    if not tested:
        return f"{text}; whether that is more than chance was not tested."
    if best.row.method not in pairs:
        best = max(tested, key=lambda a: a.mean or 0.0)
        text += f"; of the references that it was tested against, {method_label(best)}, τ {figure(best)}, is the best"
    pair = pairs[best.row.method]
    gap = f"by {-pair.interval.value:+.3f} [{-pair.interval.high:+.3f}, {-pair.interval.low:+.3f}]"
    words = {
        "worse": "**it earns its keep**",  # the reference is worse
        "better": "**it does not earn its keep here: use the reference**",
        "none": "no difference that these candidates can show, **so it has not shown that it earns its keep**",
    }
    return f"{text}, {gap}: {words[pair.verdict]}."


def _at_their_largest(references: Iterable[Aggregate]) -> list[Aggregate]:
    """One aggregate of each reference."""
    found: dict[tuple[str, str], Aggregate] = {}
    for one in sorted(references, key=lambda one: one.row.query_batches):
        found[one.row.method, one.row.source] = one
    return list(found.values())


def is_ours(found: Aggregate) -> bool:
    """Whether it reads trajectories, alone or beside other things."""
    return bool(found.row.encoder) or found.row.method.split(" ")[0] in METHODS_OF_OURS
