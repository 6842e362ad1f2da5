"""What a card says of a cross-validation: numbers of the folds, and that it does not judge the very file."""

import dataclasses

from nap2.evaluation.pages.card_protocol import FoldFacts, fold_protocol, holdout_protocol

FACTS = FoldFacts(
    num_folds=5,
    redraw=False,
    repeats=3,
    flavour="functional",
    num_tested=51,
    train_size=32,
    pool_sizes=[33, 32],
    num_val=8,
)


def test_it_says_who_was_held_out_of_what():
    text = fold_protocol(FACTS, train_size=43, num_val=7, num_heads=10)
    for needed in (
        "they judge the procedure, not this very file",
        "10 heads of this predictor were fitted on 43 labelled candidates (7 more",
        "all 51 labelled candidates",
        "heads on 32 candidates, encoders on 32 to 33, with 8 others",
        "3 repeats, the same folds",
        "saw fewer candidates",
    ):
        assert needed in text


def test_redrawn_folds_are_named_and_nothing_false_is_said_of_sizes():
    text = fold_protocol(dataclasses.replace(FACTS, redraw=True), train_size=32, num_val=7, num_heads=10)
    assert "other folds in every repeat" in text
    assert "fewer" not in text


def test_a_fixed_split_is_one_sentence():
    assert holdout_protocol("paper", 42, 10).startswith("Split flavour `paper`, seed 42, 10 trials")
