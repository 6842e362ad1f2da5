import errno
import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from nap2.checkpoint import load_checkpoint, load_into, load_spec, save_checkpoint, settle
from nap2.errors import CheckpointError

TENSORS = {"first": {"weight": torch.randn(2, 3)}, "second": {"bias": torch.arange(4)}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "saved", TENSORS, {"kind": "test", "every": 100}, "# Card\n")
    return tmp_path / "saved"


def test_what_is_saved_is_loaded_bit_by_bit(folder: Path) -> None:
    spec, tensors = load_checkpoint(folder)
    assert (spec["kind"], spec["every"]) == ("test", 100)
    torch.testing.assert_close(tensors, TENSORS, rtol=0, atol=0)
    assert (folder / "card.md").read_text() == "# Card\n"
    assert spec["components"]["first"]["tensors"] == {"weight": ["float32", [2, 3]]}


def test_the_folder_holds_no_pickle(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.md",
        "first.safetensors",
        "second.safetensors",
        "spec.json",
    ]


def test_tensors_that_share_memory_or_are_views_can_be_saved(tmp_path: Path) -> None:
    base = torch.arange(6.0).view(2, 3)
    save_checkpoint(tmp_path / "c", {"net": {"a": base.t(), "b": base}}, {"kind": "test"}, "")
    torch.testing.assert_close(load_checkpoint(tmp_path / "c")[1]["net"], {"a": base.t(), "b": base})


def test_saving_again_replaces_the_folder_whole(folder: Path) -> None:
    save_checkpoint(folder, {"third": {}}, {"kind": "other"}, "")
    assert list(load_checkpoint(folder)[1]) == ["third"]
    assert not (folder / "first.safetensors").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["saved"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("thesis", "there is a folder of other things; name a new folder"),
        ("thesis/chapter.txt", "there is a file; name a new folder"),
        (".", r"as '\.'; give its folder a name"),
        ("thesis/..", "give its folder a name"),
    ],
)
def test_nothing_but_a_checkpoint_is_replaced(tmp_path: Path, monkeypatch, place: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match=message) as caught:
        save_checkpoint(place, TENSORS, {"kind": "test"}, "")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["thesis", "chapter.txt"]
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, TENSORS, {"kind": "test"}, "")
    assert load_spec(tmp_path)["kind"] == "test"


def test_a_failed_save_leaves_the_old_one_and_nothing_else(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"The spec of .* must be JSON .*give plain finite values"):
        save_checkpoint(folder, TENSORS, {"kind": "test", "loss": float("nan")}, "")
    assert load_spec(folder)["every"] == 100
    assert [path.name for path in folder.parent.iterdir()] == ["saved"]


def test_a_spec_without_a_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no 'kind'; say what the checkpoint is"):
        save_checkpoint(tmp_path / "c", TENSORS, {}, "")
    assert not list(tmp_path.iterdir())


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def edit_spec(folder: Path, **changes) -> None:
    path = folder / "spec.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


DAMAGES = {
    r"is not the file that spec.json describes \(SHA-256 differs\); copy it again": lambda f: flip_a_bit(
        f / "first.safetensors"
    ),
    r"SHA-256 differs": lambda f: (f / "first.safetensors").write_bytes((f / "first.safetensors").read_bytes()[:-4]),
    r"Component 'second' of .* is missing: no second.safetensors": lambda f: (f / "second.safetensors").unlink(),
    r"No checkpoint at .*: found a folder without spec.json": lambda f: (f / "spec.json").unlink(),
    r"spec.json is damaged \(JSONDecodeError": lambda f: (f / "spec.json").write_text("{"),
    r"spec.json is damaged \(KeyError\('kind'\)\)": lambda f: (f / "spec.json").write_text('{"format_version": 1}'),
    r"spec.json is damaged": lambda f: (f / "spec.json").write_text("[1]"),
    r"has format 3, this version of nap2 reads 1 and 2; install the nap2 that wrote it": lambda f: edit_spec(
        f, format_version=3, components=["of another form"]
    ),
    r"lists no component; copy": lambda f: edit_spec(f, components={}),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_damage_is_refused_in_one_line(folder: Path, message: str) -> None:
    DAMAGES[message](folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value)


def test_other_tensors_than_the_spec_lists_are_refused(folder: Path) -> None:
    spec = load_spec(folder)
    spec["components"]["first"]["tensors"] = {"weight": ["float32", [3, 2]]}
    edit_spec(folder, components=spec["components"])
    with pytest.raises(CheckpointError, match=r"first.safetensors holds other tensors than spec.json lists"):
        load_checkpoint(folder)


def test_a_link_is_followed_and_stays(folder: Path) -> None:
    latest = folder.parent / "latest"
    latest.symlink_to(folder.name)
    save_checkpoint(latest, TENSORS, {"kind": "newer"}, "")
    assert latest.is_symlink()
    assert load_spec(latest)["kind"] == load_spec(folder)["kind"] == "newer"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["latest", "saved"]


@pytest.mark.parametrize("placed", [0, 1], ids=["before the new one is there", "after"])
def test_a_checkpoint_whose_replacement_was_killed_is_there_again(folder: Path, monkeypatch, placed: int) -> None:
    rename, done = Path.rename, []

    def die(self: Path, target: Path) -> Path:
        if self.name.endswith(".partial") and len(done) == placed:
            raise KeyboardInterrupt
        done.extend([self] if self.name.endswith(".partial") else [])
        return rename(self, target)

    def die_later(path: Path, **_: object) -> None:
        if path.name.endswith(".replaced"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", die)
        patch.setattr("nap2.checkpoint.shutil.rmtree", die_later)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(folder, TENSORS, {"kind": "newer"}, "")
    settle(folder)
    assert load_spec(folder)["kind"] == ("newer" if placed else "test")
    assert not list(folder.parent.glob(".*.replaced"))


def test_what_a_link_shows_is_there_again_too(folder: Path) -> None:
    link = folder.with_name("latest")
    link.symlink_to(folder)
    folder.rename(folder.with_name(f".{folder.name}.99.replaced"))
    save_checkpoint(link, TENSORS, {"kind": "newer"}, "")
    assert load_spec(folder)["kind"] == "newer"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["latest", folder.name]


def test_what_another_checkpoint_had_put_aside_is_left_alone(folder: Path) -> None:
    """Its name may begin alike: v1.1 beside v1."""
    aside = folder.with_name(f".{folder.name}.1.99.replaced")
    save_checkpoint(aside, TENSORS, {"kind": "of 1"}, "")
    save_checkpoint(folder, TENSORS, {"kind": "newer"}, "")
    folder.rename(folder.with_name("away"))
    settle(folder)
    assert not folder.exists()
    settle(folder.with_name(f"{folder.name}.1"))
    assert load_spec(folder.with_name(f"{folder.name}.1"))["kind"] == "of 1"


def test_a_replaced_checkpoint_that_another_call_took_away_is_no_failure(folder: Path, monkeypatch) -> None:
    rename = Path.rename

    def settled_at_once(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if self.name.endswith(".partial"):
            settle(folder)
        return moved

    monkeypatch.setattr(Path, "rename", settled_at_once)
    save_checkpoint(folder, TENSORS, {"kind": "newer"}, "")
    assert load_spec(folder)["kind"] == "newer"


def test_what_the_disk_refuses_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match=r"cannot be saved at .*deeper \(.*\); name a folder that") as caught:
        save_checkpoint(folder / "spec.json" / "deeper", TENSORS, {"kind": "test"}, "")
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match=r"No checkpoint at .*spec.json: found a file"):
        load_spec(folder / "spec.json")

    def locked(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", locked)
    with pytest.raises(CheckpointError, match=r"spec.json cannot be read \(PermissionError: .*Permission denied"):
        load_spec(folder)


def test_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"Asked for a checkpoint of kind 'cae', but .* is a 'test'"):
        load_checkpoint(folder, "cae")
    assert load_checkpoint(folder, "test")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"No checkpoint at .*nowhere: found nothing; give the folder"):
        load_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.zeros(2, 3)}, "The checkpoint of net lacks tensor 'bias'"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "x": torch.zeros(1)}, "has the unknown tensor 'x'"),
        (
            {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)},
            r"'weight' of net has shape \[3, 2\], the network needs \[2, 3\]",
        ),
    ],
)
def test_a_network_of_another_shape_is_refused(state, message) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_into(nn.Linear(3, 2), state, "net")


@pytest.mark.parametrize("killed", [False, True])
def test_a_checkpoint_that_came_with_a_containers_image_is_replaced(folder: Path, monkeypatch, killed: bool) -> None:
    """There its folder cannot be renamed."""
    rename = os.rename

    def refuse(source: Path, target: Path) -> None:
        if source == folder:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target)

    def die(path: Path, **_: object) -> None:
        if path == folder:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", refuse)
    if killed:
        with monkeypatch.context() as patch:
            patch.setattr("nap2.snapshots.disk.shutil.rmtree", die)
            with pytest.raises(KeyboardInterrupt):
                save_checkpoint(folder, TENSORS, {"kind": "newer"}, "")
        settle(folder)
    else:
        save_checkpoint(folder, TENSORS, {"kind": "newer"}, "")
    assert load_checkpoint(folder)[0]["kind"] == ("test" if killed else "newer")
    assert not list(folder.parent.glob(".*.replaced"))


def test_a_home_that_is_not_known_is_a_folder_that_is_not_there() -> None:
    with pytest.raises(CheckpointError, match="No checkpoint at ~nobody-has-this-name/x: found nothing"):
        load_spec("~nobody-has-this-name/x")
