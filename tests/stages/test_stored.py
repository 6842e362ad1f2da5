"""What a stage says of candidates that it cannot read, and what stage=index says of them."""

from dataclasses import replace
from pathlib import Path

import pytest
from fakes_campaign import curve, trajectory

import train
from nap2.config import Config
from nap2.errors import StoreError
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.released.writer import Limits, add_part
from nap2.snapshots.store import SnapshotStore
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.curves_stage import smoothed
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.stored import index_rows, learning_rows, open_store
from nap2.stages.pool.union import companions_of

ARCHS = SPACES["nasbench201"].arch_strings()[400:15000:4000]
COMMON = ("experiment=digits", "snapshot.num_snapshots=2", "snapshot.every=5")


def config_of(*overrides: str) -> Config:
    return compose_config(["stage=curves", *COMMON, *overrides])[1]


def fill(
    name: str,
    num_snapshots: int = 2,
    final: float | None = 0.5,
    archs: list[str] = ARCHS,
    dataset: str = "digits",
    seed: int = 4,
) -> list[Path]:
    """A store of noise; the folders of its candidates (four if not told which), in that order."""
    config = config_of(f"store={name}", f"dataset.name={dataset}")
    setting = setting_of(config)
    store = SnapshotStore.create(Path(name), setting)
    candidates = [Candidate(setting, arch_str, seed) for arch_str in archs]
    for candidate in candidates:
        with store.claim(candidate, num_snapshots) as writer:
            assert writer is not None
            noise = replace(trajectory(candidate, num_snapshots), every=setting.every)
            writer.finish(noise, replace(curve(candidate, num_snapshots), train_loss=[2.3] * 20, final_accuracy=final))
    return [store.folder(candidate.id) for candidate in candidates]


def damage(folder: Path) -> None:
    (folder / "values" / "c.0.0.0").unlink()


def rows_of(*overrides: str) -> list[str]:
    config = config_of(*overrides)
    return sorted(row.arch_str for row in index_rows(config, open_store(config)))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_is_said_of_an_intact_store(capsys: pytest.CaptureFixture[str]) -> None:
    fill("stores/a")
    assert rows_of("store=stores/a") == sorted(ARCHS)
    assert capsys.readouterr().out == ""


def test_a_set_that_lost_the_list_of_its_last_part_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers of the lists have no gap then."""
    fill("stores/a", archs=ARCHS[:2])
    limits = Limits(at_most=1)
    for _ in range(2):
        add_part("set", SnapshotStore.open("stores/a"), 7, limits)
    assert len(rows_of("store=set")) == 2
    assert capsys.readouterr().out == ""
    Path("set/part-0001.json").unlink()
    assert len(rows_of("store=set")) == 1
    said = capsys.readouterr().out.replace("\n", " ")
    assert "set/part-0001.bin is left out, without part-0001.json; copy the set again, or, where its release " in said
    assert "release again, which replaces that part" in said
    assert train.main(["stage=index", *COMMON, "store=set"]) == 0
    assert "set/part-0001.bin is left out, without part-0001.json;" in capsys.readouterr().out


def test_a_set_of_a_union_that_lost_a_list_says_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    fill("stores/b", archs=ARCHS[:2], dataset="inverted")
    for _ in range(2):
        add_part("other", SnapshotStore.open("stores/b"), 7, Limits(at_most=1))
    Path("other/part-0001.json").unlink()
    (companion,) = companions_of(config_of("store=stores/a", "union=[other]"))
    assert len(companion.ids) == 1
    assert "other/part-0001.bin is left out, without part-0001.json;" in capsys.readouterr().out


def test_damaged_and_unreadable_candidates_are_counted_and_index_names_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = fill("stores/a")
    damage(folders[0])
    text = (folders[1] / "zarr.json").read_text()
    (folders[1] / "zarr.json").write_text(text.replace('"schema_version": 1', '"schema_version": 2'))
    assert rows_of("store=stores/a") == sorted(ARCHS[2:])
    line = "2 candidates of stores/a left out, damaged or unreadable; stage=index store=stores/a says which and why\n"
    assert capsys.readouterr().out == line
    assert train.main(["stage=index", *COMMON, "store=stores/a"]) == 1
    said = capsys.readouterr().out
    assert f"damaged: {folders[0].name.partition('-')[0]} (" in said
    assert f"cannot be read: {folders[1].name.partition('-')[0]} (" in said


def test_a_stage_says_it_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    damage(fill("stores/a")[0])
    assert train.main(["stage=curves", *COMMON, "store=stores/a", "labels=measured"]) == 0
    assert capsys.readouterr().out.count("1 candidate of stores/a left out, damaged or unreadable") == 1


def test_what_would_not_have_been_used_is_not_missed(capsys: pytest.CaptureFixture[str]) -> None:
    damage(fill("stores/a")[0])
    damage(fill("stores/b", num_snapshots=1)[1])
    assert rows_of("store=stores/b", "also=[stores/a]") == sorted(ARCHS[1:])
    assert capsys.readouterr().out.startswith("1 candidate of stores/b left out")


def test_shorter_candidates_are_left_out_aloud_or_learn_if_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    fill("stores/a", num_snapshots=1)
    with pytest.raises(StoreError, match=r"holds no candidate with 2 snapshots \(longest: 1\); lower"):
        rows_of("store=stores/a")
    fill("stores/a", archs=ARCHS[:1])
    assert rows_of("store=stores/a") == [ARCHS[0]]
    said = "3 candidates of stores/a left out, with fewer than 2 snapshots"
    assert capsys.readouterr().out == f"{said}\n"
    config = config_of("store=stores/a")
    assert [row.arch_str for row in learning_rows(config, open_store(config))] == [ARCHS[0]]
    assert capsys.readouterr().out == f"{said}; split.shorter=true lets them learn\n"
    assert train.main(["stage=index", *COMMON, "store=stores/a"]) == 0
    assert "index.csv: 4 complete (1 with 2 snapshots, 3 with 1 snapshot)\n" in capsys.readouterr().out
    config = config_of("store=stores/a", "split.shorter=true")
    assert sorted(row.arch_str for row in learning_rows(config, open_store(config))) == sorted(ARCHS)
    assert rows_of("store=stores/a", "split.shorter=true") == [ARCHS[0]]  # of those that are tested


def test_where_a_copy_is_intact_nothing_is_left_out_and_index_names_the_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(fill("stores/a")[0])
    fill("stores/b")
    assert rows_of("store=stores/a", "also=[stores/b]") == sorted(ARCHS)
    assert capsys.readouterr().out == ""
    assert train.main(["stage=index", *COMMON, "store=stores/a", "also=[stores/b]"]) == 1
    said = capsys.readouterr().out
    assert "stores/a: 4 complete" in said
    assert said.count("damaged: ") == 1


def test_without_any_label_there_are_no_curves_to_colour(capsys: pytest.CaptureFixture[str]) -> None:
    fill("stores/a", final=None)
    assert train.main(["stage=curves", *COMMON, "store=stores/a", "labels=measured"]) == 2
    assert "Of 4 candidates none was trained to its end" in capsys.readouterr().err


def test_a_short_curve_is_smoothed_over_what_there_is() -> None:
    for length, steps in ((3, [3]), (10, [10]), (12, [10, 11, 12])):
        found, means = smoothed([2.0] * length)
        assert found.tolist() == steps
        assert means == pytest.approx([2.0] * len(steps))


def test_a_store_of_nothing_but_failures_says_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    setting = setting_of(config_of("store=stores/a"))
    store = SnapshotStore.create(Path("stores/a"), setting)
    with pytest.raises(StoreError, match=r"holds no complete candidate; run stage=snapshot first"):
        open_store(config_of("store=stores/a"))
    for arch_str in ARCHS[:2]:
        store.record_failure(Candidate(setting, arch_str, 4), "DivergedError: no")
    with pytest.raises(StoreError, match=r"holds no complete candidate; 2 failed, stage=index says why"):
        open_store(config_of("store=stores/a"))


def test_a_store_of_other_seeds_alone_says_which_seed_is_read() -> None:
    fill("stores/a", seed=0)
    with pytest.raises(StoreError, match=r"stores/a holds no candidate of the recipe's seed, 4 \(its seeds: 0\); "):
        rows_of("store=stores/a")


def test_a_store_of_nothing_but_damage_says_so_before_it_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for folder in fill("stores/a"):
        damage(folder)
    with pytest.raises(StoreError, match="holds no candidate with 2 snapshots"):
        rows_of("store=stores/a")
    assert capsys.readouterr().out.startswith("4 candidates of stores/a left out")
