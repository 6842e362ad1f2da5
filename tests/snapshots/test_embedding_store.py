"""Embeddings on disk: resumable, never of mixed encoders, never silently incomplete."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import zarr

from nap2.errors import StoreError
from nap2.schema import ARRAYS
from nap2.snapshots.embedding_store import EmbeddingStore, fingerprint


def trajectories(lengths: list[int], seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, 4, generator=generator) for length in lengths]


def test_what_is_written_is_read_in_any_order(tmp_path: Path) -> None:
    store = EmbeddingStore.create(tmp_path / "e", ["a", "b", "c"], 3, 4, "x")
    written = trajectories([3, 1, 2])
    store.write(["c", "a", "b"], written)
    values, lengths = EmbeddingStore.open(tmp_path / "e").read(["a", "c"])
    assert lengths.tolist() == [1, 3]
    torch.testing.assert_close(values[0, :1], written[1])
    torch.testing.assert_close(values[1], written[0])
    assert (values[0, 1:] == 0).all()


def test_its_arrays_are_those_of_the_schema(tmp_path: Path) -> None:
    EmbeddingStore.create(tmp_path / "e", ["a", "b"], 3, 4, "x")
    arrays = dict(zarr.open_group(tmp_path / "e", mode="r").arrays())
    found = {name: (len(array.shape), str(array.dtype)) for name, array in arrays.items()}
    assert found == {name: (len(ARRAYS[name].axes), ARRAYS[name].dtype) for name in ("embedding", "length")}


def test_an_interrupted_run_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    EmbeddingStore.create(tmp_path / "e", ["a", "b"], 3, 4, "x").write(["b"], trajectories([2]))
    again = EmbeddingStore.create(tmp_path / "e", ["a", "b"], 3, 4, "x")
    assert again.missing() == ["a"]


@pytest.mark.parametrize("change", [{"encoders": "y"}, {"ids": ["a", "c"]}, {"num_snapshots": 2}])
def test_other_encoders_candidates_or_lengths_start_anew(change: dict[str, object], tmp_path: Path) -> None:
    wanted: dict[str, object] = {"ids": ["a", "b"], "num_snapshots": 3, "size": 4, "encoders": "x"}
    EmbeddingStore.create(tmp_path / "e", **wanted).write(["a"], trajectories([2]))
    wanted |= change
    assert EmbeddingStore.create(tmp_path / "e", **wanted).missing() == wanted["ids"]


def test_reading_what_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"No embeddings at .*run stage=embed first"):
        EmbeddingStore.open(tmp_path / "none")
    store = EmbeddingStore.create(tmp_path / "e", ["a", "b"], 3, 4, "x")
    with pytest.raises(StoreError, match="2 candidates are not embedded yet"):
        store.read(["a", "b"])
    with pytest.raises(StoreError, match=r"1 candidates \(first: z\) have no embedding"):
        store.read(["z"])


def flipped_bits(content: bytes) -> Iterator[bytes]:
    for place in range(0, 8 * len(content), 3):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


@pytest.mark.parametrize("array", ["embedding", "length"])
def test_no_damage_is_silent(array: str, tmp_path: Path) -> None:
    store = EmbeddingStore.create(tmp_path / "e", ["a", "b"], 2, 3, "x")
    store.write(["a", "b"], [torch.ones(2, 3), torch.ones(2, 3)])
    written = store.read(["a", "b"])
    (chunk,) = (path for path in (tmp_path / "e" / array / "c").rglob("*") if path.is_file())
    content = chunk.read_bytes()
    refused = []
    for changed in (*flipped_bits(content), content[: len(content) // 2], b""):
        chunk.write_bytes(changed)
        try:
            found = store.read(["a", "b"])
        except StoreError as error:
            refused.append(str(error))
        else:
            assert all(torch.equal(*pair) for pair in zip(found, written, strict=True))
    assert len(refused) > len(content)
    assert all(message.endswith("run stage=embed again.") for message in refused)
    chunk.unlink()
    with pytest.raises(StoreError, match=r"damaged \(values that are missing|2 candidates are not embedded yet"):
        store.read(["a", "b"])


def test_what_is_not_finite_is_not_given_out(tmp_path: Path) -> None:
    store = EmbeddingStore.create(tmp_path / "e", ["a", "b"], 2, 4, "x")
    store.write(["a", "b"], [torch.tensor([[1.0, 2.0, float("nan"), 3.0]]), torch.ones(2, 4)])
    assert store.read(["b"])[1].tolist() == [2]
    with pytest.raises(
        StoreError, match=r"/e are damaged \(values that are missing or not finite\); delete that folder"
    ):
        store.read(["a", "b"])


def test_what_is_left_of_a_folder_is_made_anew(tmp_path: Path) -> None:
    EmbeddingStore.create(tmp_path / "e", ["a", "b"], 3, 4, "x").write(["b"], trajectories([2]))
    shutil.rmtree(tmp_path / "e" / "embedding")
    with pytest.raises(StoreError, match=r"/e are damaged \(.*embedding.*run stage=embed again"):
        EmbeddingStore.open(tmp_path / "e")
    assert EmbeddingStore.create(tmp_path / "e", ["a", "b"], 3, 4, "x").missing() == ["a", "b"]


def test_a_fingerprint_follows_every_value_and_name() -> None:
    state = {"w": torch.zeros(2), "b": torch.ones(1)}
    assert fingerprint(state) == fingerprint(dict(reversed(state.items())))
    assert fingerprint(state) != fingerprint({**state, "b": torch.full((1,), 1 + 1e-7)})
    assert fingerprint(state) != fingerprint({"w": state["w"], "c": state["b"]})


def test_what_was_trained_further_since_is_missing_as_far_as_there_is_room(tmp_path: Path) -> None:
    store = EmbeddingStore.create(tmp_path / "e", ["a", "b"], 2, 4, "x")
    store.write(["a", "b"], [torch.zeros(1, 4), torch.zeros(2, 4)])
    assert store.missing() == store.missing({"a": 1, "b": 9}) == []
    assert store.missing({"a": 2, "b": 9}) == ["a"]
