"""What a card says of a cross-validation: numbers of the folds, and that it does not judge the very file."""

from dataclasses import replace

from nap2.evaluation.pages.card_protocol import fold_protocol, holdout_protocol
from nap2.evaluation.splitting.splits import Split

NAMES = tuple(f"cell {n}" for n in range(51))


def fold(number: int, pool_size: int, test: tuple[str, ...], trials: range = range(3)) -> list[Split]:
    parts = (NAMES[:32], NAMES[:8], test, NAMES[:pool_size], number, 5)
    return [Split("nasbench201", "digits", "functional", 42, trial, *parts) for trial in trials]


SHARED = [fold(number, 33 - number % 2, NAMES[number::5]) for number in range(5)]


def shipped(train_size: int) -> dict[str, object]:
    return {"train_size": train_size, "num_val": 7, "heads": [{}] * 10}


def pools(groups: list[list[Split]]) -> list[int]:
    return [len(group[0].pool) for group in groups]


def test_it_says_who_was_held_out_of_what():
    text = fold_protocol(SHARED, 32, shipped(43), pools(SHARED))
    for needed in (
        "they judge the procedure, not this very file",
        "10 heads of this predictor were fitted on 43 labelled candidates (7 more",
        "all 51 labelled candidates",
        "heads on 32 candidates, encoders on 32 to 33, with 8 others",
        "3 repeats, the same folds",
        "(`functional`, seed 42:",
        "saw fewer candidates",
    ):
        assert needed in text


def test_redrawn_folds_are_named_and_nothing_false_is_said_of_sizes():
    redrawn = [[replace(group[0], trial=trial)] for trial in range(3) for group in SHARED]
    text = fold_protocol(redrawn, 32, shipped(32), pools(redrawn))
    assert "3 repeats, other folds in every repeat" in text
    assert "fewer" not in text


def test_a_fixed_split_is_one_sentence():
    assert holdout_protocol("paper", 42, 10).startswith("Split flavour `paper`, seed 42, 10 trials")
