"""The graph regression beside a released predictor learns what the predictor learned, and as much of it."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nap2.baselines.graph_regression import GraphRegression
from nap2.config import Config
from nap2.seeding import seed_from
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.exam.contenders import graph_features
from nap2.stages.exam.contest import Candidates, Contest
from nap2.stages.exam.released_graph import released_graph
from nap2.truth.table import DatasetTruth, TruthTable

ARCHS = SPACES["nasbench201"].arch_strings()[:40]
BEHIND, TESTED = list(ARCHS[:30]), list(ARCHS[30:])
ACCURACY = np.linspace(0.5, 0.9, 40)[np.random.default_rng(0).permutation(40)]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    TruthTable("nasbench201", ARCHS, {"cifar10": DatasetTruth({"test_accuracy": ACCURACY})}).save(
        tmp_path / "nasbench201.h5"
    )
    asked = ["stage=evaluate", "experiment=nb201_cifar100", f"paths.truth={tmp_path}", "split.trials=2"]
    return compose_config(asked)[1]


def predictor(**spec: object) -> SimpleNamespace:
    facts = {
        "setting": {"space": "nasbench201", "dataset": "cifar10"},
        "labels": "truth",
        "stand_in_for": None,
        "fitted_on": BEHIND,
    }
    return SimpleNamespace(spec={**facts, **spec})


def contest(config: Config, size: int) -> Contest:
    nobody = Candidates(None, {})
    return Contest(config, config, "a-name", nobody, nobody, [], [size], TESTED, {}, Path("nowhere"))


def test_it_is_the_regression_on_all_that_is_behind_the_predictor(config: Config) -> None:
    (found,) = released_graph(contest(config, 30), predictor())
    assert (found.method, found.source, found.train_size) == ("graph regression", "a-name", 30)
    seed = seed_from("graph regression", config.seed, 0) % 2**31
    assert found.seeds[0] == seed
    order = np.random.default_rng(seed_from("released graph", config.seed, 0)).permutation(30)
    known = dict(zip(ARCHS, ACCURACY, strict=True))
    names = [sorted(BEHIND)[place] for place in order]
    expected = GraphRegression(seed).fit(graph_features(config, names), np.array([known[name] for name in names]))
    np.testing.assert_array_equal(found.values[0, 0], expected.predict(graph_features(config, TESTED)))


def test_each_trial_learns_as_many_as_the_predictor_and_nothing_that_is_tested(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[np.ndarray] = []
    fit = GraphRegression.fit
    monkeypatch.setattr(GraphRegression, "fit", lambda self, x, y: (learned.append(y), fit(self, x, y))[1])
    (found,) = released_graph(contest(config, 20), predictor())
    assert found.values.shape == (2, 1, 10)
    assert [len(labels) for labels in learned] == [20, 20]
    assert all(set(labels) <= set(ACCURACY[:30]) for labels in learned)
    assert set(learned[0]) != set(learned[1])


@pytest.mark.parametrize(
    "spec",
    [
        {"labels": "measured"},
        {"setting": {"space": "nasbench201", "dataset": "svhn"}},
        {"fitted_on": [*BEHIND[:19], "unknown"]},
    ],
)
def test_without_enough_of_its_labels_there_is_none_and_that_is_said(
    config: Config, spec: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert released_graph(contest(config, 20), predictor(**spec)) == []
    assert "no graph regression: the accuracies that the predictor was fitted on are not in" in capsys.readouterr().out


def test_there_is_none_across_spaces_and_without_a_table(config: Config, tmp_path: Path) -> None:
    elsewhere = predictor(setting={"space": "nasbench101", "dataset": "cifar10"})
    assert released_graph(contest(config, 20), elsewhere) == []
    without = replace(config, paths=replace(config.paths, truth=str(tmp_path / "none")))
    assert released_graph(contest(without, 20), predictor()) == []
