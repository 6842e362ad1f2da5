"""stage=proxies as its user: an own table of accuracies, an interrupted run, more proxies later, one honest table."""

import csv
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes_campaign import curve, trajectory
from select_rows import select

import train
from nap2.config import Config
from nap2.errors import EvaluationError, StoreError
from nap2.evaluation.records.rows import read_rows
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.store import SnapshotStore
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.pool.candidates import setting_of
from nap2.stages.scores.proxy_report import write_report
from nap2.stages.scores.score_file import Scores, Task
from nap2.stages.scores.score_table import write_score_table
from nap2.stages.scores.to_score import candidates_with_labels, tasks_of

SPACE = SPACES["nasbench201"]
CELLS = random.Random(0).sample(SPACE.arch_strings(), 40)
SMALL = ["experiment=digits", "labels=truth", "space.skeleton.stem_channels=2", "snapshot.one_per_class=false"]


def own_truth(folder: Path, names: list[str]) -> None:
    """Accuracies in per cent, as a user would have them: more parameters, a better network."""
    with (folder / "mine.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["arch_str", "digits"])
        rows.writerows([name, f"{50 + SPACE.num_parameters(name) ** 0.25:.3f}"] for name in names)
    assert train.main(["stage=truth", "truth.source=mine.csv", "truth.origin=me", *SMALL]) == 0


def config(*overrides: str) -> Config:
    return compose_config(["stage=proxies", *SMALL, *overrides])[1]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    own_truth(tmp_path, CELLS)
    return tmp_path


def test_a_draw_holds_known_networks_only_and_a_longer_one_begins_with_it(here: Path) -> None:
    short, accuracy = candidates_with_labels(config("proxies.num_candidates=7"))
    longer, _ = candidates_with_labels(config("proxies.num_candidates=null"))
    assert longer[:7] == short
    assert set(longer) == set(CELLS) == set(accuracy)
    other, _ = candidates_with_labels(config("proxies.num_candidates=null", "snapshot.sample_seed=1"))
    assert set(other) == set(CELLS)
    assert other != longer


def test_a_draw_of_everything_is_judged_on_what_is_known(here: Path) -> None:
    names, accuracy = candidates_with_labels(config("proxies.num_candidates=null", "proxies.known_only=false"))
    assert len(names) == SPACE.size
    assert set(accuracy) == set(CELLS)


def test_too_few_known_networks_are_refused_before_any_work(here: Path) -> None:
    unknown = [name for name in SPACE.arch_strings()[:20] if name not in CELLS]
    (here / "list.csv").write_text("\n".join(["arch_str", *unknown, *CELLS[:2]]) + "\n")
    with pytest.raises(
        EvaluationError, match=r"2 of \d+ networks with a known accuracy: choose at least 3 that have one"
    ):
        candidates_with_labels(config("proxies.candidates=list.csv", "proxies.num_candidates=null"))
    names, accuracy = candidates_with_labels(
        config("proxies.candidates=list.csv", "proxies.num_candidates=null", "proxies.known_only=false")
    )
    assert names == [*unknown, *CELLS[:2]]
    assert set(accuracy) == set(CELLS[:2])


def test_without_a_table_of_accuracies_networks_are_scored_and_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = [
        "stage=proxies",
        *SMALL,
        "space.skeleton.cells_per_stage=1",
        "proxies.names=[params,te_nas_regions]",
        "proxies.num_candidates=4",
        "proxies.batch_size=4",
    ]
    assert train.main(asked) == 2
    assert "There is no truth table" in capsys.readouterr().err
    assert train.main([*asked, "proxies.known_only=false"]) == 0
    assert "0 of them have a known accuracy, 3 are needed to judge a proxy" in capsys.readouterr().out
    folder = tmp_path / "runs/digits/proxies"
    with (folder / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    skeleton = compose_config(asked)[1].space.skeleton
    expected = [float(SPACE.num_parameters(row["arch_str"], **skeleton)) for row in rows]
    assert [float(row["params"]) for row in rows] == expected
    assert len(rows) == 4
    assert not (folder / "rows.jsonl").exists()
    capsys.readouterr()
    np.savez("mine.npz", images=np.zeros((40, 8, 8), np.uint8), labels=np.arange(40) % 10)
    mine = ["dataset=own_npz", "dataset.name=digits", "dataset.num_classes=10", "dataset.reader.path=mine.npz"]
    assert train.main([*asked, "proxies.known_only=false", *mine]) == 2
    error = capsys.readouterr().err
    assert "were scored on digits with other training images, test images" in error
    assert "give these images another dataset.name, or delete that file and scores-" in error


def test_the_table_of_scores_turns_what_is_better_up_and_leaves_failures_empty(tmp_path: Path) -> None:
    tasks = tuple(Task(name, seed, 0) for name in "ab" for seed in (0, 1))
    values = np.array([[1.0, 5.0], [2.0, 6.0], [np.nan, 7.0], [4.0, 8.0]])
    some = np.ones((4, 2))
    reasons = np.array([[0, 0], [0, 0], [1, 0], [0, 0]], np.int32)
    write_score_table(Scores(tasks, ("snip", "te_nas"), values, some, some, reasons, ["", "why"]), tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text().split() == [
        "arch_str,seed,batch,snip,te_nas",
        "a,0,0,1.0,-5.0",
        "a,1,0,2.0,-6.0",
        "b,0,0,,-7.0",
        "b,1,0,4.0,-8.0",
    ]


def test_the_report_counts_failures_and_judges_what_is_fitted_on_the_other_half(here: Path) -> None:
    tasks = [Task(name, seed, 0) for name in CELLS for seed in (0, 1)]
    truth = np.repeat([0.5 + index / 100 for index in range(40)], 2)
    noise = np.random.default_rng(0).normal(size=(80, 3)) * [0.0, 0.05, 0.5]
    values = truth[:, None] + noise
    reasons = np.zeros((80, 3), np.int32)
    values[6, 1], reasons[6, 1] = np.nan, 1
    seconds, forwards = np.tile([0.1, 0.2, 0.4], (80, 1)), np.tile([1.0, 3.0, 0.0], (80, 1))
    scores = Scores(tuple(tasks), ("naswot", "snip", "params"), values, seconds, forwards, reasons, ["", "no weights"])
    write_report(config("evaluate.bootstrap=50"), scores, dict(zip(CELLS, truth[::2], strict=True)), here / "out")
    rows = read_rows(here / "out" / "rows.jsonl")
    (naswot,) = select(rows, method="naswot", metric="kendall_tau", trial=None)
    assert (naswot.value, naswot.num_test, naswot.num_failed, naswot.query_forwards) == (1.0, 40, 0, 1.0)
    (snip,) = select(rows, method="snip", metric="kendall_tau", trial=None)
    assert (snip.num_test, snip.num_failed) == (39, 1)
    assert snip.standard_error is not None
    assert 0 < snip.standard_error < 0.2
    assert {row.seed for row in select(rows, method="snip", metric="kendall_tau")} == {None, 0, 1}
    (libra,) = select(rows, method="libra", metric="kendall_tau", trial=None)
    assert libra.num_test + libra.num_failed == 20
    assert libra.note.startswith("fitted to 20 networks, judged on the others; picked naswot")
    assert "tau-by-cost.png" in {path.name for path in (here / "out").iterdir()}
    assert "libra: fitted to 20 networks" in (here / "out" / "table.md").read_text()


def test_of_a_store_all_labelled_candidates_are_scored(here: Path) -> None:
    asked = config("proxies.candidates=store", "proxies.num_candidates=1", "snapshot.num_snapshots=1")
    unknown = next(name for name in SPACE.arch_strings() if name not in CELLS)
    store = SnapshotStore.create(Path(asked.paths.store), setting_of(asked))
    for arch_str in (*CELLS[:5], unknown):
        candidate = Candidate(store.setting, arch_str, int(asked.recipe["seed"]))
        with store.claim(candidate, 1, False) as writer:
            writer.finish(replace(trajectory(candidate, 1), every=store.setting.every), curve(candidate, 1))
    names, accuracy = candidates_with_labels(asked)
    assert names == sorted(CELLS[:5])
    assert set(accuracy) == set(names)
    with pytest.raises(StoreError, match=r"holds another setting than this config \(recipe\.lr: 0\.1 ≠ 0\.3\)"):
        candidates_with_labels(config("proxies.candidates=store", "snapshot.num_snapshots=1", "recipe.lr=0.3"))


def test_a_seed_that_is_named_twice_is_one() -> None:
    """Its second task would never have been scored: each call began anew."""
    assert tasks_of(config("proxies.seeds=[3,0,3]"), ["a"]) == [Task("a", 3, 0), Task("a", 0, 0)]


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_scores_only_what_is_missing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["stage=proxies", *SMALL, "proxies.seeds=[0,1]", "proxies.batches=2", "workers=2", "evaluate.bootstrap=20"]
    assert train.main([*asked, "proxies.num_candidates=4", "proxies.names=[params,naswot]"]) == 0
    (path,) = (here / "runs/digits/proxies").glob("scores-*.jsonl")
    first = path.read_text()
    assert first.count("\n") == 4 * 2 * 2
    path.write_text(first[:-30])  # the last line was being written when the machine went down
    assert train.main([*asked, "proxies.num_candidates=5", "proxies.names=[params,naswot,zen]"]) == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert path.read_text().startswith("".join(first.splitlines(keepends=True)[:-1]))
    added = [tuple(sorted(content["scores"])) for content in lines[15:]]
    assert sorted(added) == [("naswot", "params", "zen")] * 5 + [("zen",)] * 15
    capsys.readouterr()
    before = path.read_bytes()
    assert train.main([*asked, "proxies.num_candidates=5", "proxies.names=[params,naswot,zen]"]) == 0
    assert "20 scored before, 0 to do" in capsys.readouterr().out
    assert path.read_bytes() == before
    rows = read_rows(here / "runs/digits/proxies/rows.jsonl")
    assert {row.trial for row in select(rows, method="params")} == {None, 0, 1, 2, 3}
    (params,) = select(rows, method="params", metric="kendall_tau", trial=None)
    assert params.value == pytest.approx(1.0)
