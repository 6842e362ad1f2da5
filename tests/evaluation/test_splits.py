import json
from collections import Counter

import numpy as np
import pytest

from nap2.errors import DataFileError, EvaluationError
from nap2.evaluation.splitting.splits import Draw, Split, check_split, make_splits

ACCURACIES = {f"a{i:04d}": float(v) for i, v in enumerate(np.random.default_rng(0).beta(5, 2, 1000))}
SIZES = {"num_train": 300, "num_val": 50, "num_test": 100, "num_trials": 3, "seed": 42}


def class_of(arch_str):
    return str(int(arch_str[1:]) // 3)  # three consecutive names are twins


def classes(flavour):
    return str if flavour == "paper" else class_of


def draw(flavour="functional", accuracies=ACCURACIES, **changes):
    options = {**SIZES, **changes}
    num_test = options.pop("num_test")
    return make_splits(Draw(accuracies, "space", "data", flavour, classes(flavour), **options), num_test)


def deciles(arch_strs):
    ranked = {arch: rank // 100 for rank, arch in enumerate(sorted(ACCURACIES, key=ACCURACIES.__getitem__))}
    return [Counter(ranked[arch] for arch in arch_strs)[decile] for decile in range(10)]


@pytest.mark.parametrize("flavour", ["paper", "isomorphic", "functional"])
def test_parts_are_disjoint_and_of_the_sizes_asked_for(flavour):
    for split in draw(flavour):
        assert (len(split.train), len(split.val), len(split.test)) == (300, 50, 100)
        assert not set(split.train) & set(split.val) | set(split.test) & (set(split.val) | set(split.train))
        check_split(split, classes(flavour))


def test_no_class_of_the_test_set_is_seen_before_unless_the_flavour_allows_it():
    for flavour, is_clean in (("isomorphic", True), ("functional", True), ("paper", False)):
        split = draw(flavour)[0]
        tested = {class_of(arch) for arch in split.test}
        assert tested.isdisjoint({class_of(arch) for arch in split.pool + split.val}) == is_clean


def test_every_part_and_every_train_size_is_proportional_over_accuracy_deciles():
    split = draw("paper", num_train=700, num_test=200, num_val=100)[0]
    assert deciles(split.test) == [20] * 10
    assert deciles(split.val) == [10] * 10
    for size in (50, 100, 300, 700):
        assert all(abs(count - size / 10) <= 1 for count in deciles(split.train_of(size)))


def test_train_sizes_are_nested():
    split = draw()[0]
    assert split.train_of(50) == split.train_of(300)[:50]


def test_validation_and_test_are_shared_by_the_trials_and_the_order_of_training_is_not():
    splits = draw()
    assert len({(split.val, split.test, split.pool) for split in splits}) == 1
    assert len({split.train for split in splits}) == 3


def test_all_flavours_are_judged_on_the_same_candidates():
    assert len({draw(flavour)[0].test for flavour in ("paper", "isomorphic", "functional")}) == 1


def test_a_split_depends_on_the_candidates_and_not_on_their_order():
    shuffled = dict(reversed(ACCURACIES.items()))
    assert draw(accuracies=shuffled) == draw()
    assert draw(seed=1)[0].test != draw()[0].test


def test_a_prefix_is_proportional_even_where_classes_have_emptied_a_decile():
    lopsided = {arch: value for arch, value in ACCURACIES.items() if value > 0.8 or class_of(arch).endswith("1")}
    split = draw(accuracies=lopsided, num_train=60, num_val=20, num_test=40)[0]
    check_split(split, class_of)
    assert len(split.train) == 60


def test_without_a_test_set_every_candidate_is_open_to_training():
    split = draw(num_test=0)[0]
    assert split.test == ()
    assert {class_of(arch) for arch in split.pool + split.val} == {class_of(arch) for arch in ACCURACIES}


def test_only_some_may_test_and_validate_and_all_others_are_open_to_training():
    judges = set(list(ACCURACIES)[::3])  # one of each class
    for split in draw(judges=judges, num_train=None):
        assert (len(split.test), len(split.val)) == (100, 50)
        assert {*split.test, *split.val} <= judges
        judging = {class_of(arch) for arch in (*split.test, *split.val)}
        assert set(split.train) == {arch for arch in ACCURACIES if class_of(arch) not in judging}
    assert draw(judges=set(ACCURACIES)) == draw()
    with pytest.raises(
        EvaluationError, match=r"the 1000 with a label \(of which 120 have .*\) give 880 \+ 20 \+ 100: "
    ):
        draw("paper", judges=set(list(ACCURACIES)[:120]))


def test_who_tests_and_validates_depends_on_nothing_that_only_trains():
    judges = {arch: ACCURACIES[arch] for arch in list(ACCURACIES)[::3]}
    drawn = draw(accuracies=judges, num_train=None), draw(judges=set(judges), num_train=None)
    for alone, beside in zip(*drawn, strict=True):
        assert (alone.test, alone.val) == (beside.test, beside.val)
        assert set(alone.pool) < set(beside.pool)


def test_too_few_candidates_are_refused_with_both_counts():
    few = dict(list(ACCURACIES.items())[:300])
    with pytest.raises(
        EvaluationError,
        match=r"asks for 300 \+ 50 \+ 100 candidates.*the 300 with a label give.*ask for fewer \(split\.folds=5 split"
        r"\.train_sizes=\[0\] and a small split\.val_size test each once\), train.*import the accuracies of more",
    ):
        draw(accuracies=few)
    with pytest.raises(EvaluationError, match="the 0 with a label"):
        draw(accuracies={})


def test_a_train_size_beyond_the_split_is_refused():
    with pytest.raises(EvaluationError, match="has 300 training candidates; 301 were asked for"):
        draw()[0].train_of(301)


def test_a_leaking_split_is_caught():
    split = draw()[0]
    twin = next(arch for arch in ACCURACIES if class_of(arch) == class_of(split.test[0]) and arch != split.test[0])
    leaking = Split(**{**split.__dict__, "train": (*split.train[1:], twin), "pool": (*split.pool, twin)})
    with pytest.raises(EvaluationError, match=f"{twin}.*test and train"):
        check_split(leaking, class_of)
    doubled = Split(**{**split.__dict__, "val": (split.val[0],) * 2})
    with pytest.raises(EvaluationError, match="hold an architecture twice: draw it again"):
        check_split(doubled, class_of)


def test_a_saved_split_comes_back_equal(tmp_path):
    split = draw()[1]
    split.save(tmp_path / "deep" / "split.json")
    assert Split.load(tmp_path / "deep" / "split.json") == split
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["split.json"]


@pytest.mark.parametrize("content", ["{", "[1]", '{"train": []}', '{"train": 3, "val": [], "test": [], "pool": []}'])
def test_a_damaged_split_file_is_refused(tmp_path, content):
    (tmp_path / "split.json").write_text(content)
    with pytest.raises(DataFileError, match=r"split.json is not a saved split"):
        Split.load(tmp_path / "split.json")


def test_a_missing_split_file_and_a_strange_key_are_named(tmp_path):
    with pytest.raises(DataFileError, match=r"There is no split at .*; draw one"):
        Split.load(tmp_path / "none.json")
    path = tmp_path / "split.json"
    draw()[0].save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "extra": 1}))
    with pytest.raises(DataFileError, match="extra"):
        Split.load(path)
