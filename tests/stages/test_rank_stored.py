"""A store is ranked as its trajectories are predicted, one by one; nothing is trained, and nobody drops out."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from fakes_campaign import trajectory
from fakes_predictor import random_predictor

import train
from nap2.inference import Predictor
from nap2.snapshots.curve import Curve
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.trajectory import Trajectory
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.pool.candidates import setting_of
from nap2.stages.ranking.rank_stored import KNOWN

LEARNED = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
TWIN = "|nor_conv_1x1~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"  # of the function of LEARNED
NEW = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
SHORT = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
DAMAGED = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|avg_pool_3x3~2|"
ASKED = ("stage=rank", "experiment=digits", "snapshot.every=5", "rank.candidates=store", "rank.query_batches=10")


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Trajectory]:
    """Five candidates in the default store of digits, and a predictor in `predictor/`; the trajectories by name."""
    monkeypatch.chdir(tmp_path)
    config = compose_config([*ASKED])[1]
    setting, seed = setting_of(config), int(config.recipe["seed"])
    store, found = SnapshotStore.create(Path(config.paths.store), setting), {}
    asked = [(LEARNED, seed), (LEARNED, seed + 1), (TWIN, seed), (NEW, seed), (SHORT, seed), (DAMAGED, seed)]
    for arch_str, own_seed in asked:
        count, candidate = 1 if arch_str == SHORT else 3, Candidate(setting, arch_str, own_seed)
        noise = replace(trajectory(candidate, count), every=5)
        with store.claim(candidate, count) as writer:
            assert writer is not None
            writer.finish(noise, Curve([2.3] * 20, [0.1] * count, [1.0, 2.5, 4.0][:count], [0.1]))
        if arch_str == DAMAGED:
            (store.folder(candidate.id) / "values" / "c.0.0.0").unlink()
        else:
            found[arch_str + (f" (seed {own_seed})" if own_seed != seed else "")] = noise
    facts = {"setting": {"space": "nasbench201", "recipe": setting.recipe}, "fitted_on": [LEARNED]}
    random_predictor(every=5, num_snapshots=4, num_heads=2, **facts).save("predictor", "card")
    return found


def ranked(*overrides: str) -> tuple[int, dict[str, dict[str, str]]]:
    code = train.main([*ASKED, "rank.checkpoint=predictor", *overrides])
    with Path("runs/digits/ranking.csv").open(newline="") as file:
        return code, {row["name"]: row for row in csv.DictReader(file)}


def test_every_candidate_is_predicted_from_what_is_stored_of_it(stored: dict[str, Trajectory]) -> None:
    code, rows = ranked()
    predictor = Predictor.from_pretrained("predictor")
    expected = {n: predictor.predict_with_spread(t.first(2)) for n, t in stored.items() if n != SHORT}
    for name, one in expected.items():
        assert float(rows[name]["predicted_accuracy"]) == one.accuracy
        assert float(rows[name]["spread"]) == one.spread
        assert (rows[name]["query_batches"], rows[name]["query_time_s"]) == ("10", "2.5")
    order = sorted(expected, key=lambda name: -expected[name].accuracy)
    assert list(rows)[: len(order)] == order
    assert code == 1  # two of them failed, and stay in the list


def test_what_cannot_be_read_comes_last_with_its_reason(stored: dict[str, Trajectory]) -> None:
    _, rows = ranked()
    assert len(rows) == 6
    (last, damaged) = [row for row in rows.values() if row["failure"]]
    reasons = {row["name"]: row["failure"] for row in (last, damaged)}
    assert reasons[SHORT] == "the store holds 1 snapshot of it, 2 are read"
    assert any("damaged" in reason or "missing" in reason for reason in reasons.values())
    assert {row["rank"] for row in (last, damaged)} == {"5", "6"}


def test_cells_that_the_predictor_learned_and_their_twins_are_marked(stored: dict[str, Trajectory]) -> None:
    class_of = SPACES["nasbench201"].classes["functional"]
    assert class_of(TWIN) == class_of(LEARNED) != class_of(NEW)
    _, rows = ranked()
    marked = {name for name, row in rows.items() if KNOWN in row["warnings"].split(" | ")}
    assert marked == {name for name in stored if name.startswith((LEARNED, TWIN))}
    assert len(marked) == 3


def test_one_kind_is_ranked_at_a_time(stored: dict[str, Trajectory], capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main([*ASKED, f"rank.arch_strs=['{NEW}']"]) == 2
    assert "rank.arch_strs and rank.candidates are both set; rank one kind at a time." in capsys.readouterr().err


def test_a_predictor_of_another_interval_or_length_is_refused(
    stored: dict[str, Trajectory], capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*ASKED, "rank.checkpoint=predictor", "rank.query_batches=12"]) == 2
    assert "12" in capsys.readouterr().err
    random_predictor(every=10, num_snapshots=4).save("other", "card")
    assert train.main([*ASKED, "rank.checkpoint=other"]) == 2
    assert "reads a snapshot every 10" in capsys.readouterr().err


def test_a_list_of_candidates_is_read_like_any_other(
    stored: dict[str, Trajectory], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("list.csv").write_text(f"arch_str\n{NEW}\n|x|\n")
    assert train.main([*ASKED[:3], "rank.checkpoint=predictor", "rank.candidates=list.csv"]) == 2
    assert "list.csv, line 3" in capsys.readouterr().err
