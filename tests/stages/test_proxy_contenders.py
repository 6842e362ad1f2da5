"""Scores that stage=proxies wrote take part in the exam; what it did not score is said and left out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nap2.config import Config
from nap2.stages.command.compose import compose_config
from nap2.stages.exam.proxy_contenders import proxy_predictions
from nap2.stages.scores.to_score import scores_file

ARCHS = ["one", "two", "three"]


def config_with(folder: Path, lines: list[dict[str, object]]) -> Config:
    config = compose_config(["stage=evaluate", "experiment=digits", f"paths.runs={folder}"])[1]
    (folder / "proxies").mkdir(parents=True)
    path = folder / "proxies" / scores_file(config)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return config


def line(arch_str: str, **values: float | None) -> dict[str, object]:
    scores = {
        name: {"value": value, "failure": None if value is not None else "no", "seconds": 0.5, "forwards": 2.0}
        for name, value in values.items()
    }
    return {"arch_str": arch_str, "seed": 0, "batch": 0, "scores": scores}


def test_each_scored_proxy_is_a_method_turned_so_that_more_is_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [line("one", synflow=1.0, te_nas=5.0), line("three", synflow=None, te_nas=7.0)]
    found = {one.method: one for one in proxy_predictions(config_with(tmp_path, lines), ARCHS)}
    assert set(found) == {"synflow", "te_nas"}
    np.testing.assert_array_equal(found["synflow"].values, [[[1.0, np.nan, np.nan]]])
    np.testing.assert_array_equal(found["te_nas"].values, [[[-5.0, np.nan, -7.0]]])  # less is better
    said = capsys.readouterr().out
    assert "not in the table: " in said
    assert "grad_norm" in said
    assert "1 of 3 test candidates lack the score of some proxy" in said


def test_without_scores_the_table_goes_without_proxies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_with(tmp_path, [line("another", synflow=1.0)])
    assert proxy_predictions(config, ARCHS) == []
    said = capsys.readouterr().out
    assert "run stage=proxies" in said
    assert "other settings" not in said
    larger = replace(config, proxies=replace(config.proxies, batch_size=config.proxies.batch_size + 1))
    assert proxy_predictions(larger, ARCHS) == []
    assert "(scores with other settings lie beside it: give both calls the same)" in capsys.readouterr().out


def test_trials_are_in_the_order_of_their_seeds_whatever_the_order_in_which_they_are_asked_for(tmp_path: Path) -> None:
    lines = [{**line(arch, synflow=float(seed + len(arch))), "seed": seed} for arch in ARCHS for seed in (1, 0)]
    config = config_with(tmp_path, lines)
    turned = replace(config, proxies=replace(config.proxies, seeds=[1, 0]))
    (found,) = proxy_predictions(turned, ARCHS)
    assert found.seeds == (0, 1)
    np.testing.assert_array_equal(found.values[:, 0], [[3.0, 3.0, 5.0], [4.0, 4.0, 6.0]])
