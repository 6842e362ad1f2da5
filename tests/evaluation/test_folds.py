"""Folds: every candidate is tested once, no class is cut, and nothing of the test set is fitted on."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_splits import class_of, classes

from nap2.errors import EvaluationError
from nap2.evaluation.splitting.folds import make_folds
from nap2.evaluation.splitting.splits import Draw, Split, check_split


def draw(count=61, flavour="functional", **changes):
    accuracies = {f"a{i:03d}": float(v) for i, v in enumerate(np.random.default_rng(count).beta(5, 2, count))}
    return accuracies, fold(accuracies, flavour, **changes)


def fold(accuracies, flavour, num_folds=5, redraw=False, **changes):
    sizes = {"num_train": None, "num_val": 6, "num_trials": 3, "seed": 42, **changes}
    return make_folds(Draw(accuracies, "space", "data", flavour, classes(flavour), **sizes), num_folds, redraw)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(26, 90),  # of 25 two folds may leave too few
    num_folds=st.integers(2, 6),
    flavour=st.sampled_from(["paper", "functional"]),
    redraw=st.booleans(),
    seed=st.integers(0, 5),
)
def test_folds_partition_the_candidates_in_every_repeat(count, num_folds, flavour, redraw, seed):
    options = {"num_folds": num_folds, "num_val": 3, "redraw": redraw, "seed": seed}
    accuracies, groups = draw(count, flavour, **options)
    splits = [split for group in groups for split in group]
    for trial in range(3):
        mine = [split for split in splits if split.trial == trial]
        assert Counter(arch for split in mine for arch in split.test) == Counter(list(accuracies))
        assert sorted(split.fold for split in mine) == list(range(num_folds))
    for split in splits:
        check_split(split, classes(flavour))
        assert not set(split.test) & (set(split.pool) | set(split.val))


def test_a_class_lies_within_one_fold_unless_the_flavour_lets_it_be_cut():
    for flavour, is_whole in (("functional", True), ("paper", False)):
        _, groups = draw(flavour=flavour)
        folds_by_class: dict[str, set[int]] = {}
        for split, *_ in groups:
            for arch in split.test:
                folds_by_class.setdefault(class_of(arch), set()).add(split.fold)
        assert all(len(folds) == 1 for folds in folds_by_class.values()) == is_whole


def test_each_fold_takes_one_of_every_five_neighbours_in_accuracy():
    accuracies, groups = draw(60, "paper")
    ranked = sorted(accuracies, key=accuracies.__getitem__)
    fold_of = {arch: split.fold for split, *_ in groups for arch in split.test}
    for start in range(0, 60, 5):
        assert sorted(fold_of[arch] for arch in ranked[start : start + 5]) == [0, 1, 2, 3, 4]


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(60, 90),
    share=st.sampled_from([2, 3]),
    num_folds=st.integers(2, 5),
    flavour=st.sampled_from(["paper", "functional"]),
    seed=st.integers(0, 5),
)
def test_only_some_judge_and_the_others_train_wherever_no_twin_of_theirs_judges(count, share, num_folds, flavour, seed):
    names = [f"a{i:03d}" for i in range(count)]
    judges = set(np.random.default_rng(seed).permutation(names)[: count // share].tolist())
    accuracies, groups = draw(count, flavour, num_folds=num_folds, num_val=3, seed=seed, judges=judges)
    key = classes(flavour)
    assert Counter(arch for split, *_ in groups for arch in split.test) == Counter(judges)
    for split, *_ in groups:
        check_split(split, key)
        assert set(split.val) <= judges
        judging = {key(arch) for arch in (*split.test, *split.val)}
        assert set(split.pool) == {arch for arch in accuracies if key(arch) not in judging}
        assert set(split.pool) - judges


def test_where_all_may_judge_the_folds_are_those_without_such_a_rule():
    accuracies, groups = draw()
    assert draw(judges=set(accuracies))[1] == groups


def test_folds_of_too_few_judges_are_refused_by_their_number():
    with pytest.raises(EvaluationError, match=r"5 folds of the paper split .* the 4 candidates to be tested are 4"):
        draw(flavour="paper", judges={"a000", "a001", "a002", "a003"})


def test_a_group_shares_its_pool_and_its_trials_differ_in_order():
    _, groups = draw()
    assert len(groups) == 5
    for group in groups:
        assert [split.trial for split in group] == [0, 1, 2]
        assert len({(split.test, split.val, split.pool) for split in group}) == 1
        assert len({split.train for split in group}) == 3
        assert all(set(split.train) == set(split.pool) for split in group)


def test_redrawn_repeats_have_other_folds():
    _, groups = draw(redraw=True)
    assert len(groups) == 15
    assert groups[0][0].test != groups[5][0].test


def test_folds_depend_on_the_candidates_and_not_on_their_order():
    accuracies, groups = draw()
    assert fold(dict(reversed(accuracies.items())), "functional") == groups


def test_too_few_are_refused_in_one_line():
    with pytest.raises(EvaluationError, match=r"6 folds of the functional split.*15 candidates to be tested are 5"):
        draw(15, num_folds=6)
    with pytest.raises(EvaluationError, match=r"Fold 1 of 5 .* asks for 60 \+ 6 \+ 1 .*: ask for fewer, train"):
        draw(61, num_train=60)


def test_a_saved_fold_comes_back_equal(tmp_path):
    split = draw()[1][2][1]
    split.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == split
    assert (split.fold, split.num_folds) == (2, 5)
