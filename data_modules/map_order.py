"""In which order feature maps are shown: random within and across candidates, at bounded memory.

Candidates are shuffled and dealt into blocks; the snapshots of a block are shuffled together. A block is as much as a
reader must hold at once, so that an epoch decodes every candidate once, and the order never depends on how maps are
read (from the store, from a cache, from both).
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from nap2.seeding import generator

BLOCK = 64  # candidates whose snapshots are shuffled together


class MapOrder(Sampler[Tensor]):
    """Batches of int64 `[B, 2]`: (position of the candidate, snapshot counted from 0).

    A last batch of one map joins the one before it, for batch normalisation cannot train on a single one.

    Args:
        lengths: snapshots of each candidate.
        batch_size: maps of a batch.
        seed: decides the order, together with the epoch; None for the order of `lengths`.
        block: candidates whose snapshots are shuffled together.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int | None, block: int = BLOCK) -> None:
        self.lengths = torch.tensor(lengths, dtype=torch.int64)
        self.batch_size, self.seed, self.block, self.epoch = batch_size, seed, block, 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next; the Trainer calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(int(self.lengths.sum()), self.batch_size)
        return whole + (rest > 1 or (rest == 1 and whole == 0))

    def __iter__(self) -> Iterator[Tensor]:
        waiting = torch.empty(0, 2, dtype=torch.int64)
        for block in self._blocks():
            waiting = torch.cat([waiting, block])
            while len(waiting) > self.batch_size + 1:  # one more than a batch may be the lone last map
                yield waiting[: self.batch_size]
                waiting = waiting[self.batch_size :]
        if len(waiting):
            yield waiting

    def _blocks(self) -> Iterator[Tensor]:
        if self.seed is None:
            candidates, random = torch.arange(len(self.lengths)), None
        else:
            random = generator("order of feature maps", self.seed, self.epoch)
            candidates = torch.randperm(len(self.lengths), generator=random)
        for chosen in torch.split(candidates, self.block):
            maps = _maps_of(chosen, self.lengths[chosen])
            yield maps if random is None else maps[torch.randperm(len(maps), generator=random)]


def _maps_of(candidates: Tensor, lengths: Tensor) -> Tensor:
    starts = lengths.cumsum(0) - lengths
    snapshot = torch.arange(int(lengths.sum())) - starts.repeat_interleave(lengths)
    return torch.stack([candidates.repeat_interleave(lengths), snapshot], dim=1)  # [B, 2]
