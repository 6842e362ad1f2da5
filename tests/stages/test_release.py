"""stage=release, every stage that reads on what it wrote, and stage=snapshot that leaves out what is released."""

import csv
import shutil
from pathlib import Path

import pytest

import train
from nap2.snapshots.image_note import NOTE
from nap2.snapshots.reader import open_snapshots
from nap2.snapshots.released import SnapshotSet
from nap2.snapshots.store import SnapshotStore
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.pool.candidates import draw
from nap2.stages.release_stage import BEGIN, END

TINY = [
    "experiment=digits",
    "workers=1",
    "space.skeleton.stem_channels=2",
    "recipe.epochs=1",
    "snapshot.second_seed=0",
    "snapshot.every=5",
    "snapshot.num_snapshots=2",
    "split.train_sizes=[4]",
    "split.val_size=2",
    "split.test_size=4",
    "split.trials=1",
    "model.cae.epochs=1",
    "model.predictor.epochs=1",
    "evaluate.bootstrap=20",
]
SET = "checkpoints/snapshots/digits"


def run(*arguments: str) -> int:
    return train.main([*arguments[:1], *TINY, *arguments[1:]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of 10 candidates, released in two parts."""
    root = tmp_path_factory.mktemp("release")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("NAP2_CHECKPOINTS", raising=False)
        assert run("stage=snapshot", "snapshot.num_candidates=10") == 0
        Path("checkpoints/snapshots").mkdir(parents=True)
        Path("checkpoints/snapshots/README.md").write_text(f"Mine.\n{BEGIN}\n{END}\n")
        assert run("stage=release", "release.at_most=6") == 0
        assert run("stage=release", "release.at_most=6") == 0
    return root


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("NAP2_CHECKPOINTS", raising=False)
    return folder


@pytest.mark.parametrize("key", ["store", "paths.store"])
def test_the_store_is_given_by_either_key(key: str) -> None:
    assert compose_config(["stage=index", "experiment=digits", f"{key}=some/where"])[1].paths.store == "some/where"
    assert compose_config(["stage=index", "experiment=digits"])[1].paths.store == "stores/digits"


@pytest.mark.slow
def test_a_set_says_on_which_images_its_candidates_were_trained_and_takes_no_others(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = here / SET / NOTE
    content = note.read_bytes()
    assert content == (here / "stores/digits" / NOTE).read_bytes()
    note.write_text('{"test images": "others"}')
    assert run("stage=release") == 2
    assert "were trained on different images of one dataset.name (other test images)" in capsys.readouterr().err
    note.write_bytes(content)


@pytest.mark.slow
def test_a_set_holds_what_the_store_holds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, released = SnapshotStore.open("stores/digits"), SnapshotSet.open(SET)
    assert released.complete() == store.complete()
    assert len(released.parts) == 2
    page = Path("checkpoints/snapshots/README.md").read_text()
    assert page.startswith(f"Mine.\n{BEGIN}\n| set ")
    assert "| `digits` | nasbench201 (cells_per_stage 1, stem_channels 2) | digits | digits | 10 | 2 | 5 |" in page
    for candidate_id in store.complete():
        exact, rounded = store.read(candidate_id), released.read(candidate_id)
        error = (rounded.trajectory.values - exact.trajectory.values).abs()
        assert error.le(1.001 * 2**-8 * exact.trajectory.values.abs()).all()
        assert (rounded.candidate, rounded.curve) == (exact.candidate, exact.curve)
    files = {path: path.read_bytes() for path in Path(SET).iterdir()}
    assert run("stage=release") == 0
    assert "nothing new in stores/digits" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in Path(SET).iterdir()} == files


@pytest.mark.slow
def test_damage_of_another_set_does_not_fail_what_was_written(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table beside them waits until that set is whole, and the next call brings it up to date."""
    page, other, own = tmp_path / "README.md", tmp_path / "other", tmp_path / "own"
    page.write_text(f"{BEGIN}\n{END}\n")
    shutil.copytree(SET, other)
    (other / "part-0001.bin").write_bytes(b"")
    assert run("stage=release", f"release.folder={own}") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{own} holds 10 candidates" in said
    assert f"the table in {page} stays as it was, for the time being: {other}/part-0001.bin is damaged" in said
    assert page.read_text() == f"{BEGIN}\n{END}\n"
    shutil.copy(f"{SET}/part-0001.bin", other)
    assert run("stage=release", f"release.folder={own}") == 0
    assert "nothing new" in capsys.readouterr().out
    assert page.read_text().count("| 10 | 2 | 5 |") == 2


@pytest.mark.slow
def test_every_reading_stage_works_on_a_set_and_leaves_it_as_it_is(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path: path.read_bytes() for path in Path(SET).iterdir()}
    for stage in ("index", "cae", "embed", "predictor", "evaluate", "curves"):
        assert run(f"stage={stage}", f"store={SET}", "paths.runs=runs/from-set") == 0, stage
    said = capsys.readouterr().out
    assert f"{SET}: 10 complete" in said
    assert "after 10 mini-batches: NAP2" in said
    assert Path("runs/from-set/curves.png").stat().st_size > 10_000
    assert {path: path.read_bytes() for path in Path(SET).iterdir()} == files


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["snapshot", "release", "pipeline"])
def test_stages_that_write_to_a_store_refuse_a_set(here: Path, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"stage={stage}", f"store={SET}") == 2
    error = capsys.readouterr().err
    assert f"{SET} is a released snapshot set, which only stage=release adds to" in error
    assert ("take new candidates from" if stage == "release" else "stage=snapshot a store to write to") in error


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_released_is_not_trained_again(
    here: Path, tmp_path: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The campaign goes on in a new checkout: 12 candidates, 10 of them released."""
    call = ("stage=snapshot", f"store={tmp_path / 'store'}", "snapshot.num_candidates=12", f"workers={workers}")
    assert run(*call, "snapshot.plan=true") == 0
    said = capsys.readouterr().out
    assert f"10 of 12 candidates are in the released set {SET} and are not trained again" in said
    assert "2 to train" in said
    assert run(*call) == 0
    assert f"10 of 12 candidates are in the released set {SET}" in capsys.readouterr().out
    trained = SnapshotStore.open(tmp_path / "store").complete()
    assert len(trained) == 2
    assert not trained.keys() & SnapshotSet.open(SET).complete().keys()


@pytest.mark.slow
def test_all_released_means_nothing_to_do(here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stage=snapshot", f"store={tmp_path / 'store'}", "snapshot.num_candidates=10") == 0
    assert "nothing is left to train" in capsys.readouterr().out
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        ["snapshot.skip_released=false"],
        ["snapshot.num_snapshots=3"],  # the set holds two of each
        ["recipe.lr=0.2"],  # another setting
    ],
)
def test_what_the_set_does_not_hold_is_planned_in_full(
    here: Path, tmp_path: Path, change: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    call = ("stage=snapshot", f"store={tmp_path / 'store'}", "snapshot.num_candidates=12", "snapshot.plan=true")
    assert run(*call, *change) == 0
    said = capsys.readouterr().out
    assert "12 to train" in said
    assert "released" not in said


@pytest.mark.slow
def test_a_damaged_set_is_named_before_anything_is_trained(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in Path(SET).iterdir():
        (tmp_path / SET).mkdir(parents=True, exist_ok=True)
        (tmp_path / SET / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    Path(SET, "part-0001.bin").write_bytes(b"")
    assert run("stage=snapshot", "snapshot.num_candidates=12") == 2
    assert "part-0001.bin is damaged (0 bytes where" in capsys.readouterr().err
    assert not Path("stores").exists()


@pytest.mark.slow
def test_a_list_of_the_user_is_matched_by_candidate_and_not_by_place(here: Path, tmp_path: Path) -> None:
    names = draw(SPACES["nasbench201"], 12, 0, one_per_class=True)
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["arch_str"], *([name] for name in (names[11], names[3], names[5]))])
    store = tmp_path / "store"
    assert run("stage=snapshot", f"store={store}", f"snapshot.candidates={tmp_path / 'list.csv'}") == 0
    opened = open_snapshots(store)
    assert [opened.read(i).candidate.arch_str for i in opened.complete()] == [names[11]]
