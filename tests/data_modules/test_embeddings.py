from collections import Counter

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from data_modules.embeddings import EmbeddingDataModule
from nap2.errors import ConfigError

LENGTHS = torch.tensor([3, 3, 2, 1, 3, 3])
SPLIT = {"train": [4, 0, 2, 3], "val": [5, 1]}


def module(**options) -> EmbeddingDataModule:
    trajectory = torch.arange(6.0)[:, None, None] * 100 + torch.arange(1.0, 4.0)[:, None] + torch.zeros(6, 3, 2)
    arguments = {"split": SPLIT, "batch_size": 4, "seed": 0, **options}
    return EmbeddingDataModule(trajectory, LENGTHS, torch.arange(6) / 10, **arguments)


def seen(batches) -> Counter:
    return Counter(
        (round(float(a) * 10), int(k))
        for _, lengths, accuracy in batches
        for a, k in zip(accuracy, lengths, strict=True)
    )


def test_each_training_architecture_is_seen_as_each_of_its_prefixes_once() -> None:
    expected = {(a, k): 1 for a in SPLIT["train"] for k in range(1, int(LENGTHS[a]) + 1)}
    loader = module().train_dataloader()
    assert seen(loader) == expected
    assert len(loader) == len(list(loader)) == 3  # 9 prefixes in batches of 4


def test_a_batch_holds_the_first_snapshots_and_zeros_beyond() -> None:
    for trajectory, lengths, accuracy in module().train_dataloader():
        assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)
        assert trajectory.shape == (len(lengths), int(lengths[0]), 2)
        for row, length, label in zip(trajectory, lengths, accuracy, strict=True):
            wanted = [1000 * float(label) + step for step in range(1, int(length) + 1)]
            assert row[:length, 0].tolist() == pytest.approx(wanted)
            assert not row[length:].any()


def test_shuffled_sequences_hold_the_same_snapshots_and_another_epoch_orders_them_anew() -> None:
    def read(seed: int, epoch: int) -> dict[tuple[int, int], list[float]]:
        loader = module(shuffle_snapshots=True, seed=seed).train_dataloader()
        loader.sampler.set_epoch(epoch)
        return {
            (round(float(label) * 10), int(length)): row[:, 0].tolist()
            for trajectory, lengths, accuracy in loader
            for row, length, label in zip(trajectory, lengths, accuracy, strict=True)
        }

    first = read(0, 0)
    for (architecture, length), row in first.items():
        assert sorted(row[:length]) == [100 * architecture + step for step in range(1, length + 1)]
        assert not any(row[length:])
    assert first == read(0, 0)
    orders = [read(seed, epoch)[4, 3][:3] for seed in range(3) for epoch in range(10)]
    assert len({tuple(order) for order in orders}) > 3
    (batch,) = module(shuffle_snapshots=True).val_dataloader()
    assert (batch[2] * 10).round().tolist() == SPLIT["val"]


def test_validation_is_whole_and_in_the_order_of_the_split() -> None:
    (batch,) = module().val_dataloader()
    assert (batch[2] * 10).round().tolist() == SPLIT["val"]
    assert batch[1].tolist() == [3, 3]


def test_shared_prefixes_come_as_whole_trajectories() -> None:
    assert seen(module(prefix_sharing=True).train_dataloader()) == {(a, int(LENGTHS[a])): 1 for a in SPLIT["train"]}


def order(source: EmbeddingDataModule, epoch: int) -> list[float]:
    loader = source.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [float(label) for batch in loader for label in batch[2]]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    big = {"split": {"train": list(range(6))}}
    assert order(module(**big), 3) == order(module(**big), 3)
    assert order(module(**big), 3) != order(module(**big), 4)
    assert order(module(**big), 3) != order(module(**big, seed=1), 3)


class Watching(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.epochs: dict[int, list[float]] = {}

    def training_step(self, batch, batch_idx):
        self.epochs.setdefault(self.current_epoch, []).extend(batch[2].tolist())
        return self.weight

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_lightning_moves_the_order_on_with_the_epoch() -> None:
    watching, source = Watching(), module()
    Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(watching, train_dataloaders=source.train_dataloader())
    assert watching.epochs == {epoch: pytest.approx(order(source, epoch)) for epoch in range(2)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lengths": torch.tensor([4, 1])}, r"Lengths run from 1 to 4, but must lie in 1\.\.3"),
        ({"lengths": torch.tensor([0, 1])}, r"Lengths run from 0 to 1"),
        ({"accuracy": torch.zeros(3)}, r"their shapes are \(2, 3, 2\), \(2,\) and \(3,\)"),
        ({"split": {"train": [0, 2]}}, r"Split 'train' names 2 rows of 2 architectures; needs rows 0\.\.1"),
        ({"split": {"train": []}}, r"Split 'train' names 0 rows"),
        ({"batch_size": 0}, r"batch_size=0 must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(change, message) -> None:
    arguments = {
        "trajectory": torch.zeros(2, 3, 2),
        "lengths": torch.tensor([3, 3]),
        "accuracy": torch.zeros(2),
        "split": {"train": [0], "val": [1]},
        "batch_size": 2,
        **change,
    }
    with pytest.raises(ConfigError, match=message):
        EmbeddingDataModule(**arguments)
