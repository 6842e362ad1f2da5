"""The same mini-batches for every network of a ranking, and one clear line about a loader that cannot give them."""

from collections.abc import Generator, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from nap2.errors import described
from nap2.seeding import forked_random_state, seed_from

Batch = Sequence[Tensor]


class BatchesError(Exception):
    """The loader, not the network, is at fault."""


def replayed(loader: Iterable[Batch], num_batches: int, seed: int) -> Generator[Batch, None, None]:
    """The first `num_batches` batches, over as many epochs as that takes, on a random state of their own.

    A loader draws its order from torch's random state or from its own generator while it is read; both start anew here,
    and what the network draws in between changes nothing.

    Raises:
        BatchesError: if the loader gives nothing, or fails.
    """
    generators = _generators(loader)
    with forked_random_state(seed_from("rank", seed)):
        state = torch.get_rng_state()
    kept = {generator: generator.get_state() for generator in generators}
    for generator in generators:
        generator.manual_seed(seed_from("rank", seed))
    try:
        given = 0
        batches: Iterator[Batch] = iter(())
        while given < num_batches:
            with forked_random_state():
                torch.set_rng_state(state)
                try:
                    batch = next(batches, None)
                    if batch is None:
                        batches = iter(loader)
                        batch = next(batches, None)
                except Exception as error:  # a foreign loader may fail in any way
                    raise BatchesError(f"The loader failed at batch {given + 1}: {described(error)}") from error
                state = torch.get_rng_state()
            if batch is None:
                raise BatchesError("The loader gives no batch; pass one that yields (inputs, targets).")
            given += 1
            yield batch
    finally:
        for generator, before in kept.items():
            generator.set_state(before)


class SameBatches:
    """Notices when a network is shown other batches than the first one was."""

    def __init__(self) -> None:
        self.marks: list[tuple[str, ...]] = []
        self.batch_size: int | None = None  # of the first one; None until it was shown

    def checked(self, batches: Iterator[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
        """The same batches as pairs (inputs, targets).

        Raises:
            BatchesError: if one is no such pair, or not the one of the first time.
        """
        for place, (inputs, targets) in enumerate(map(_pair, batches)):
            sums = (inputs.sum(dtype=torch.float64), targets.sum(dtype=torch.float64))
            mark = (str(inputs.shape), *(repr(float(total)) for total in sums))
            self.batch_size = self.batch_size or len(inputs)
            if place == len(self.marks):
                self.marks.append(mark)
            if mark != self.marks[place]:
                raise BatchesError(
                    f"The loader gave another batch {place + 1} the second time, so networks cannot be compared; pass "
                    "a list of batches, or draw its randomness from torch's random state alone."
                )
            yield inputs, targets


def num_batches_of(loader: Iterable[Batch]) -> int:
    """Mini-batches of one epoch; 0 where the loader does not say.

    A loader of a part of a run, as `data_modules` has them, has another length and says `batches_per_epoch`.
    """
    if isinstance(per_epoch := getattr(loader, "batches_per_epoch", None), int):
        return per_epoch
    try:
        return len(loader)  # type: ignore[arg-type]  # what has no length raises
    except TypeError:
        return 0


def _pair(batch: object) -> tuple[Tensor, Tensor]:
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else ()
    if len(parts) != 2 or not all(isinstance(part, Tensor) for part in parts):
        found = f"{len(parts)} parts" if parts else f"a {type(batch).__name__}"
        raise BatchesError(f"A batch must be two tensors, (inputs, class indices); the loader gave {found}.")
    inputs: Tensor = parts[0]
    targets: Tensor = parts[1]
    if len(inputs) != len(targets):
        raise BatchesError(f"A batch of the loader has {len(inputs)} inputs, but {len(targets)} targets.")
    if targets.is_floating_point():
        return inputs, targets  # probabilities of the classes
    if targets.dim() != 1 or (len(targets) and int(targets.min()) < 0):
        raise BatchesError(
            f"Targets must be class indices from 0, one for each input; the loader gave {list(targets.shape)} with "
            f"smallest {int(targets.min()) if targets.numel() else 'none'}."
        )
    return inputs, targets.long()


def _generators(loader: Iterable[Batch]) -> list[torch.Generator]:
    """The generators that a `DataLoader` and its sampler own."""
    owners = (
        loader,
        getattr(loader, "sampler", None),
        getattr(getattr(loader, "batch_sampler", None), "sampler", None),
    )
    found = [getattr(owner, "generator", None) for owner in owners]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())
