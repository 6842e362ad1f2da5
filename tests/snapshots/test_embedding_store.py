"""Embeddings on disk: resumable, never of mixed encoders, never silently incomplete."""

from pathlib import Path

import pytest
import torch

from nap2.errors import StoreError
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


def test_a_fingerprint_follows_every_value_and_name() -> None:
    state = {"w": torch.zeros(2), "b": torch.ones(1)}
    assert fingerprint(state) == fingerprint(dict(reversed(state.items())))
    assert fingerprint(state) != fingerprint({**state, "b": torch.full((1,), 1 + 1e-7)})
    assert fingerprint(state) != fingerprint({"w": state["w"], "c": state["b"]})
