"""Transfer: no predictor is tested on a class that it was fitted on, and no candidate is tested twice."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nap2.evaluation.splitting.folds import make_folds
from nap2.evaluation.splitting.splits import Draw, make_splits
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.exam import transfer
from nap2.stages.exam.released_contender import released_source
from nap2.stages.exam.transfer import judges_of_fold, source_name
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.exam_on import exam_on
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool, protocol_of
from nap2.training.recipe import RECIPES


def class_of(arch_str: str) -> str:
    return str(int(arch_str[1:]) // 2)


def labels(numbers) -> dict[str, float]:
    return {f"a{number:03d}": float(np.random.default_rng(number).random()) for number in numbers}


def draw(flavour: str = "functional", num_trials: int = 1) -> Draw:
    own = str if flavour == "paper" else class_of
    return Draw(labels(range(40)), "space", "data", flavour, own, None, 4, num_trials, 42)


def pools(groups) -> list[Pool]:
    return [Pool({}, {}, group, RunFolder(Path("nowhere"))) for group in groups]


@settings(max_examples=30, deadline=None)
@given(start=st.integers(0, 60), redraw=st.booleans(), flavour=st.sampled_from(["functional", "paper"]))
def test_every_candidate_is_tested_once_by_a_predictor_that_saw_nothing_of_its_class(start, redraw, flavour) -> None:
    fitted = pools(make_folds(draw(flavour, num_trials=2), 4, redraw))
    target = labels(range(start, start + 50))
    for trial in (0, 1):
        tested: Counter[str] = Counter()
        for pool in fitted:
            split = pool.splits[0]
            if trial not in {one.trial for one in pool.splits}:
                continue
            asked = judges_of_fold(split, fitted, target, class_of)
            assert {class_of(a) for a in asked}.isdisjoint({class_of(a) for a in (*split.pool, *split.val)})
            tested.update(asked)
        if flavour == "functional":
            assert tested == Counter(list(target))
        else:  # twins in several folds leave some class without a predictor that did not see it
            assert set(tested.values()) <= {1}


def test_a_fixed_split_is_tested_on_all_it_was_not_fitted_on() -> None:
    fitted = pools([make_splits(draw(), 8)])
    split = fitted[0].splits[0]
    asked = judges_of_fold(split, fitted, labels(range(60)), class_of)
    assert set(split.test) <= set(asked)
    assert {f"a{number:03d}" for number in range(40, 60)} <= set(asked)
    assert not {class_of(a) for a in asked} & {class_of(a) for a in (*split.pool, *split.val)}


@pytest.mark.parametrize(("of_target", "num_shorter"), [("true", 0), ("false", 3)])
def test_rows_of_a_released_predictor_say_whether_shorter_ones_taught_it(
    of_target: str, num_shorter: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target's own `split.shorter` is of no predictor that is tested there."""
    config = compose_config(["stage=evaluate", "experiment=digits", f"split.shorter={of_target}"])[1]
    archs = SPACES["nasbench201"].arch_strings()[400:15000:2000]
    spec = {"fitted_on": [], "setting": setting_of(config).as_dict(), "train_size": 4, "num_shorter": num_shorter}
    loaded = SimpleNamespace(spec=spec, every=config.snapshot.every, num_snapshots=config.snapshot.num_snapshots)
    monkeypatch.setattr(transfer.Predictor, "from_pretrained", lambda folder: loaded)
    monkeypatch.setattr(transfer, "target_of", lambda *asked: (SimpleNamespace(), dict.fromkeys(archs, 0.5)))
    contest = transfer.contest_with_checkpoint(config, SimpleNamespace(), Path("released"))
    assert protocol_of(contest.fitted) == ("holdout, shorter learn too" if num_shorter else "holdout")


@pytest.mark.parametrize(
    ("space", "left_out"),
    [("nasbench201", "NAP2+ is left out"), ("nasbench101", "the graph regression and NAP2+ are left out")],
)
def test_what_a_released_predictor_leaves_out_depends_on_its_space(
    space: str, left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of another space has no graphs for the target either, so naming it is no advice."""
    config = compose_config(["stage=evaluate", "experiment=digits"])[1]
    spec = {"fitted_on": [], "setting": replace(setting_of(config), space=space).as_dict(), "train_size": 4}
    loaded = SimpleNamespace(spec=spec, every=config.snapshot.every, num_snapshots=config.snapshot.num_snapshots)
    said: list[str] = []
    monkeypatch.setattr(transfer, "say", said.append)
    monkeypatch.setattr(transfer.Predictor, "from_pretrained", lambda folder: loaded)
    archs = SPACES["nasbench201"].arch_strings()[400:15000:2000]
    monkeypatch.setattr(transfer, "target_of", lambda *asked: (SimpleNamespace(), dict.fromkeys(archs, 0.5)))
    transfer.contest_with_checkpoint(config, SimpleNamespace(), Path("released"))
    assert [line for line in said if "left out" in line] == [line for line in said if line.startswith(left_out)]
    assert any("name its run" in line for line in said) == (space == "nasbench201")


def test_a_source_is_named_by_what_it_differs_in_from_the_target() -> None:
    target = compose_config(["stage=evaluate", "experiment=nb201_adamw"])[1]
    own, sgd = setting_of(target), RECIPES["nasbench201"].as_dict()
    assert source_name(own, "run/split", target) == "run/split"
    assert source_name(replace(own, dataset="cifar10"), "run/split", target) == "cifar10"
    assert source_name(replace(own, recipe=sgd), "run/split", target) == "cifar100/nasbench201"
    elsewhere = replace(own, space="nasbench101", skeleton={"stem_channels": 128})
    assert source_name(elsewhere, "run/split", target) == "nasbench101/cifar100"
    smaller = replace(elsewhere, skeleton={"stem_channels": 64})  # of which there are no published figures
    assert source_name(smaller, "run/split", target) == "nasbench101/cifar100/stem_channels 64"
    slower, narrow = {**own.recipe, "lr": 1e-4}, {**own.skeleton, "stem_channels": 8}
    assert source_name(replace(own, recipe=slower), "run/split", target) == "cifar100/nasbench201_adamw, lr 0.0001"
    assert source_name(replace(own, skeleton=narrow), "run/split", target) == "cifar100/stem_channels 8"
    reduced = compose_config(["stage=evaluate", "experiment=nb201_adamw", "space.skeleton.stem_channels=8"])[1]
    assert source_name(own, "run/split", reduced) == "cifar100/published sizes"
    assert source_name(elsewhere, "run/split", reduced) == "nasbench101/cifar100"


def test_a_released_union_is_named_by_its_datasets_elsewhere_and_by_its_own_name_at_home() -> None:
    home, elsewhere = (compose_config(["stage=evaluate", f"experiment=nb201_{n}"])[1] for n in ("cifar10", "cifar100"))
    spec = {"setting": setting_of(home).as_dict(), "union": {"svhn": 6}}
    named = [released_source(SimpleNamespace(config=one, source="nb201-two"), spec) for one in (home, elsewhere)]
    assert named == ["nb201-two", "cifar10+svhn"]


def test_rows_say_in_what_networks_differ_from_the_published_ones() -> None:
    full = compose_config(["stage=evaluate", "experiment=nb201_imagenet16"])[1]
    assert exam_on(full, np.ones(3)).skeleton == ""
    assert exam_on(full, np.ones(3), split_seed=7).split_seed == 7
    reduced = compose_config(["stage=evaluate", "experiment=digits"])[1]
    assert exam_on(reduced, np.ones(3)).skeleton == "cells_per_stage 1, stem_channels 8"


def test_rows_say_what_was_changed_of_the_recipe_that_they_name() -> None:
    """An experiment's own epochs stay where another recipe is asked for."""
    asked = ["stage=evaluate", "experiment=digits", "recipe=nasbench201"]
    assert exam_on(compose_config(asked)[1], np.ones(3)).recipe == "nasbench201, epochs 3"
    whole = exam_on(compose_config([*asked, "recipe.epochs=200", "recipe.seed=5"])[1], np.ones(3))
    assert whole.recipe == "nasbench201"


def test_accuracies_measured_on_a_stand_in_are_its_own() -> None:
    asked = ["stage=evaluate", "experiment=nb201_cifar100_25k"]
    seen = [exam_on(compose_config([*asked, f"labels={name}"])[1], np.ones(3)) for name in ("truth", "measured")]
    assert [(one.target, one.label, one.stand_in) for one in seen] == [
        ("cifar100", "imported", True),
        ("cifar100-25k", "measured", False),
    ]


def test_an_architecture_of_another_space_is_new_to_every_predictor_whatever_its_class_is_called() -> None:
    fitted = pools(make_folds(draw(), 4))
    target = labels(range(40))  # the same strings, which name other networks there
    asked = [
        judges_of_fold(pool.splits[0], fitted, target, lambda arch: f"target: {class_of(arch)}", class_of)
        for pool in fitted
    ]
    assert sorted(arch for fold in asked for arch in fold) == sorted(target)
    assert all(fold for fold in asked)
