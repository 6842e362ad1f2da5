"""The sentence for which a card exists: it follows the test of the difference, and not the two means."""

from dataclasses import replace

import pytest
from fakes_evaluation import EXAM, NAP2, PARAMS, WEAK, aggregates, predictions

from nap2.evaluation.judging.differences import differences
from nap2.evaluation.pages.verdict import verdict

SLIGHTLY_WORSE = predictions("graph", [0.11], trials=3, query_batches=(0,), snapshots=(0,))
FAR_BETTER = predictions("oracle", [0.0001], trials=1, query_batches=(0,), snapshots=(0,))


def said(*others) -> str:
    compared = differences(others, NAP2, EXAM, rounds=200)
    return verdict(aggregates(NAP2, *others), 200, compared)


def test_the_verdict_names_the_best_reference_that_costs_no_more_and_says_who_wins():
    found = aggregates(NAP2, WEAK, PARAMS)
    by_method = {
        a.row.method: a.mean for a in found if a.row.metric == "kendall_tau" and a.row.query_batches in (0, 200)
    }
    assert by_method["nap2"] > by_method["params"] > by_method["early_stopping"]
    text = verdict(found, 200)
    assert f"the best reference is params, τ {by_method['params']:.3f} and needs no training" in text
    assert f"nap2 (cifar10, 700), τ {by_method['nap2']:.3f}" in text
    assert "is ahead of it" in text


def test_a_reference_of_a_larger_budget_is_no_rival():
    dear = predictions("late", [9.0, 9.0, 0.0001], trials=1)
    text = verdict(aggregates(NAP2, dear), 200)
    assert "is ahead of it" in text


def test_without_ours_the_verdict_says_so():
    assert verdict(aggregates(WEAK), 200) == "Nothing of ours was evaluated at 200 mini-batches."


def test_far_ahead_of_every_reference_it_earns_its_keep():
    assert said(WEAK).endswith("**it earns its keep**.")
    assert "by +0." in said(WEAK)


def test_behind_a_reference_that_costs_nothing_it_does_not():
    text = said(WEAK, FAR_BETTER)
    assert "best reference is oracle" in text
    assert "by -0." in text
    assert text.endswith("**it does not earn its keep here: use the reference**.")


def test_a_difference_within_chance_is_called_none_whoever_is_ahead():
    text = said(SLIGHTLY_WORSE)
    assert text.endswith("**so it has not shown that it earns its keep**.")


def test_a_difference_at_another_budget_or_to_another_method_is_not_taken_for_it():
    elsewhere = [replace(one, against_batches=100) for one in differences([WEAK], NAP2, EXAM, rounds=50)]
    assert "was not tested" in verdict(aggregates(NAP2, WEAK), 200, elsewhere)
    of_other = differences([PARAMS], NAP2, EXAM, rounds=50)
    assert "was not tested" in verdict(aggregates(NAP2, WEAK), 200, of_other)


def test_parts_that_see_no_gradients_are_references_and_parts_that_do_are_ours():
    part = predictions("nap2_plus: size alone", [0.2, 0.1], trials=1)
    own_part = predictions("nap2_plus: dynamics alone", [0.2, 0.001], trials=1, encoder="cae")
    text = verdict(aggregates(NAP2, part, own_part), 200, judged=["nap2"])
    assert "best reference is nap2_plus: size alone" in text
    assert "dynamics alone" not in text


@pytest.mark.parametrize("judged", [["nap2"], None])
def test_who_is_judged_can_be_named(judged):
    other = predictions("nap2 (pca encoder)", [0.5, 0.5], encoder="pca")
    assert ("pca" in verdict(aggregates(NAP2, other, WEAK), 200, judged=judged)) == (judged is None)


def test_where_the_best_was_not_tested_the_best_of_the_tested_decides():
    compared = differences([WEAK, SLIGHTLY_WORSE], NAP2, EXAM, rounds=200)
    text = verdict(aggregates(NAP2, WEAK, SLIGHTLY_WORSE, FAR_BETTER), 200, compared)
    assert "best reference is oracle" in text
    assert "does not reach it; of the references that it was tested against, graph, τ" in text
    assert text.endswith("**so it has not shown that it earns its keep**.")


def test_a_reference_that_gets_worse_with_training_counts_where_it_was_tested():
    worsens = predictions("worsens", [0.05, 3.0], trials=1)
    text = said(worsens)
    reached = {a.row.query_batches: a.mean for a in aggregates(worsens) if a.row.metric == "kendall_tau"}
    assert reached[100] > 0.8 > 0.4 > reached[200]
    assert f"best reference is worsens, τ {reached[200]:.3f}." in text
    assert "is ahead of it, by +" in text
