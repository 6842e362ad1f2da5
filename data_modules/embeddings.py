"""Embeddings for the predictor: every training architecture as each of its prefixes (3.4, App. C.2.4)."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from nap2.errors import ConfigError
from nap2.models.readings import shuffled
from nap2.seeding import generator

Batch = tuple[Tensor, Tensor, Tensor]


class EmbeddingDataModule(LightningDataModule):
    """Batches of trajectory float32 `[B, T, D]`, lengths int64 `[B]` (falling), accuracy float32 `[B]`.

    In training an architecture of k snapshots is seen k times an epoch, as its first 1, 2, … k snapshots; in validation
    and test once, whole. What lies beyond a length is zero. The training order is a pure function of (seed, epoch).

    Args:
        trajectory: `[A, T, D]`.
        lengths: `[A]`, snapshots of each architecture, 1..T.
        accuracy: `[A]`, fractions.
        split: rows of `train` and `val`.
        batch_size: sequences of a training batch; architectures with `prefix_sharing`.
        seed: of the training order.
        prefix_sharing: give whole trajectories in training; the module predicts from their prefixes itself.
        shuffle_snapshots: give the snapshots of each sequence in a random order, another one every time it is fetched
            among other sequences: a pure function of (seed, what is fetched together).
    """

    def __init__(
        self,
        trajectory: Tensor,
        lengths: Tensor,
        accuracy: Tensor,
        split: Mapping[str, Sequence[int]],
        batch_size: int,
        seed: int = 0,
        prefix_sharing: bool = False,
        shuffle_snapshots: bool = False,
    ) -> None:
        super().__init__()
        _check(trajectory, lengths, accuracy, split, batch_size)
        self.trajectory, self.lengths, self.accuracy = trajectory.float(), lengths.long(), accuracy.float()
        self.split, self.batch_size, self.seed = split, batch_size, seed
        self.prefix_sharing, self.shuffle_snapshots = prefix_sharing, shuffle_snapshots

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches in a new random order every epoch."""
        rows = torch.tensor(self.split["train"])
        lengths = self.lengths[rows]
        if not self.prefix_sharing:
            rows = rows.repeat_interleave(lengths)
            lengths = torch.cat([torch.arange(1, int(length) + 1) for length in lengths])
        items = torch.stack([rows, lengths], 1)
        return self._loader(items, SeededOrder(len(items), self.batch_size, self.seed))

    def val_dataloader(self) -> DataLoader[Batch]:
        """One batch of whole trajectories, in the order of the split."""
        rows = torch.tensor(self.split["val"])
        return self._loader(torch.stack([rows, self.lengths[rows]], 1), SeededOrder(len(rows), len(rows), None))

    def _loader(self, items: Tensor, order: "SeededOrder") -> DataLoader[Batch]:
        order_seed = self.seed if self.shuffle_snapshots else None
        sequences = _Sequences(self.trajectory, self.accuracy, items, order.seed is not None, order_seed)
        return DataLoader(sequences, sampler=order, batch_size=None)


class SeededOrder(Sampler[Tensor]):
    """Batches of item indices: shuffled anew every epoch, as a pure function of (seed, epoch), or in order."""

    def __init__(self, num_items: int, batch_size: int, seed: int | None) -> None:
        self.num_items, self.batch_size, self.seed = num_items, batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, also when it resumes."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.num_items // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        if self.seed is None:
            order = torch.arange(self.num_items)
        else:
            order = torch.randperm(self.num_items, generator=generator("embedding order", self.seed, self.epoch))
        yield from order.split(self.batch_size)


class _Sequences(Dataset[Batch]):
    """Item i is the first `items[i, 1]` snapshots of architecture `items[i, 0]`; several are fetched at once."""

    def __init__(
        self, trajectory: Tensor, accuracy: Tensor, items: Tensor, is_sorted: bool, order_seed: int | None
    ) -> None:
        self.trajectory, self.accuracy, self.items, self.is_sorted = trajectory, accuracy, items, is_sorted
        self.order_seed = order_seed

    def __getitem__(self, index: Tensor) -> Batch:
        rows, lengths = self.items[index].unbind(1)
        if self.is_sorted:
            lengths, order = lengths.sort(descending=True, stable=True)
            rows = rows[order]
        longest = int(lengths.max())
        seen = torch.arange(longest) < lengths[:, None]  # [B, T]
        trajectory = self.trajectory[rows, :longest] * seen[:, :, None]
        if self.order_seed is not None:
            trajectory = shuffled(trajectory, lengths, generator("snapshot order", self.order_seed, index.tolist()))
        return trajectory, lengths, self.accuracy[rows]


def _check(
    trajectory: Tensor, lengths: Tensor, accuracy: Tensor, split: Mapping[str, Sequence[int]], batch_size: int
) -> None:
    count = len(trajectory)
    if trajectory.dim() != 3 or lengths.shape != (count,) or accuracy.shape != (count,):
        raise ConfigError(
            f"Embeddings [A, T, D] need one length and one accuracy per architecture, but their shapes are "
            f"{tuple(trajectory.shape)}, {tuple(lengths.shape)} and {tuple(accuracy.shape)}."
        )
    if count and not (int(lengths.min()) >= 1 and int(lengths.max()) <= trajectory.shape[1]):
        raise ConfigError(
            f"Lengths run from {int(lengths.min())} to {int(lengths.max())}, but must lie in 1..{trajectory.shape[1]}, "
            "the snapshots held; embed the candidates again."
        )
    for name, rows in split.items():
        if not rows or not all(0 <= row < count for row in rows):
            raise ConfigError(
                f"Split {name!r} names {len(rows)} rows of {count} architectures; needs rows 0..{count - 1}."
            )
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size} must be at least 1.")
