from collections import Counter
from itertools import permutations

import pytest
import torch
from torch import Tensor

from nap2.models.readings import MEAN_POOL, STATIC, one_embedding, shuffled
from nap2.models.snapshot_mlp import SnapshotMLP

LENGTHS = torch.tensor([4, 2, 1])


@pytest.fixture
def trajectory() -> Tensor:
    return torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))


def test_a_static_reading_sees_the_last_snapshot_and_no_other(trajectory: Tensor) -> None:
    read = one_embedding(STATIC, trajectory, LENGTHS)
    assert torch.equal(read[:, 0], torch.stack([trajectory[0, 3], trajectory[1, 1], trajectory[2, 0]]))
    changed = trajectory.clone()
    changed[0, :3] = changed[1, [0, 2, 3]] = changed[2, 1:] = torch.nan
    assert torch.equal(one_embedding(STATIC, changed, LENGTHS), read)


def test_mean_pooling_is_the_mean_of_what_was_seen_and_does_not_know_its_order(trajectory: Tensor) -> None:
    read = one_embedding(MEAN_POOL, trajectory, LENGTHS)
    for row, length in enumerate(LENGTHS):
        torch.testing.assert_close(read[row, 0], trajectory[row, :length].mean(0))
    changed = trajectory.clone()
    changed[0], changed[1, :2] = changed[0].flip(0), changed[1, :2].flip(0)
    changed[1, 2:] = torch.nan
    torch.testing.assert_close(one_embedding(MEAN_POOL, changed, LENGTHS), read)


def orders(trajectory: Tensor, seed: int) -> Counter[tuple[int, ...]]:
    """How often each order of the first three of four snapshots comes up, over 6,000 rows `[3]` of numbers."""
    rows = trajectory.expand(6000, 4)[..., None]
    found = shuffled(rows, torch.full((6000,), 3), torch.Generator().manual_seed(seed))[..., 0]
    assert (found[:, 3] == trajectory[3]).all()
    return Counter(tuple(row) for row in found[:, :3].int().tolist())


def test_a_shuffled_reading_has_every_order_of_what_was_seen_equally_often_whatever_the_true_one_was() -> None:
    for numbers in ([1.0, 2, 3, 9], [3.0, 1, 2, 9]):
        counts = orders(torch.tensor(numbers), 0)
        assert set(counts) == set(permutations((1, 2, 3)))
        assert all(abs(count - 1000) < 4 * 29 for count in counts.values())  # four binomial standard deviations


def test_a_shuffled_reading_is_a_function_of_its_generator(trajectory: Tensor) -> None:
    first, again, other = (shuffled(trajectory, LENGTHS, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first[2], trajectory[2])


def test_the_mlp_reads_one_embedding_and_gives_fractions() -> None:
    net = SnapshotMLP(256).eval()
    assert sum(weight.numel() for weight in net.parameters()) == 256 * 128 + 128 + 128 + 1
    predicted = net(torch.randn(7, 1, 256) * 100)
    assert predicted.shape == (7,)
    assert ((predicted >= 0) & (predicted <= 1)).all()
