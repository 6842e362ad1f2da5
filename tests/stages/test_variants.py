from dataclasses import replace
from pathlib import Path

import pytest

from nap2.evaluation.splitting.splits import Split
from nap2.stages.fitting.variants import Variant, fitted_sizes, fitted_variants
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    splits = [Split("nasbench201", "digits", "paper", 0, trial, ("a",), ("b",), ("c",), ("a",)) for trial in (0, 1)]
    return Pool({}, {}, splits, RunFolder(tmp_path))


def fitted(pool: Pool, variant: Variant, *budgets: int | None, size: int = 2, trials: tuple[int, ...] = (0, 1)) -> None:
    for trial in trials:
        for budget in budgets:
            checkpoint = variant.folder(pool.folder, size, trial, budget) / "checkpoint"
            checkpoint.mkdir(parents=True)
            (checkpoint / "spec.json").touch()


def test_one_predictor_serves_every_budget_unless_the_reading_knows_no_order() -> None:
    assert Variant().budgets((1, 3)) == Variant(reading="shuffled").budgets((1, 3)) == [None]
    assert Variant(reading="static").budgets((1, 3)) == Variant(reading="mean_pool").budgets((1, 3)) == [1, 3]


def test_every_variant_has_a_folder_and_a_name_of_its_own(pool: Pool) -> None:
    run = pool.folder
    assert Variant().folder(run, 2, 0).name == "n2-trial0"
    assert Variant("gradients").folder(run, 2, 0).name == "n2-trial0-gradients"
    assert Variant(reading="static").folder(run, 2, 0, 23).name == "n2-trial0-static-23"
    assert Variant("weights", "mean_pool").words == ["weights alone", "mean pool"]
    assert Variant().words == []


def test_what_has_the_predictors_of_every_trial_and_budget_is_tested(
    pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted(pool, Variant("gradients"), None)
    fitted(pool, Variant(reading="shuffled"), None)
    fitted(pool, Variant(reading="static"), 1, 3)
    fitted(pool, Variant(reading="mean_pool"), 1)
    assert fitted_variants([pool], 2, (1, 3)) == [
        Variant(),
        Variant("gradients"),
        Variant(reading="static"),
        Variant(reading="shuffled"),
    ]
    assert "mean pool: left out, 2 of 4 predictors on 2 are there" in capsys.readouterr().out
    assert fitted_variants([pool], 3, (1, 3)) == [Variant()]


def test_sizes_that_every_pool_and_trial_has_a_predictor_on_are_found(tmp_path: Path) -> None:
    names = tuple("abcdef")
    splits = [Split("nasbench201", "digits", "paper", 0, trial, names, ("v",), (), names) for trial in (0, 1)]
    pool = Pool({}, {}, splits, RunFolder(tmp_path))

    fitted(pool, Variant(), None)
    fitted(pool, Variant(), None, size=6, trials=(0,))
    fitted(pool, Variant("gradients"), None, size=5)
    assert fitted_sizes([pool]) == [2]
    assert fitted_sizes([pool], "gradients") == [5]
    assert fitted_sizes([pool, replace(pool, folder=RunFolder(tmp_path / "elsewhere"))]) == []
