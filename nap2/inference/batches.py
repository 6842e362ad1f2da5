"""The same mini-batches for every network of a ranking, and one clear line about a loader that cannot give them."""

import copy
import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from nap2.errors import NetworkError, counted, described, kind_of
from nap2.seeding import RandomStream, seed_from

Batch = Sequence[Tensor]

SUM_TOLERANCE = 0.01
"""Probabilities of half precision do not sum to 1 exactly."""
BATCHED = "wrap a Dataset in a DataLoader"
OTHER_TASKS = "for any other task, record your own loop (predictor.recorder)"


class CallerError(NetworkError):
    """What is passed beside the networks, the loader say, is at fault, and no network."""


def replayed(loader: Iterable[Batch], num_batches: int, seed: int) -> Generator[Batch, None, None]:
    """The first `num_batches` batches, over as many epochs as that takes, on a random state of their own.

    A loader draws from the random state of torch, Python or NumPy or from its own generator while it is read; all start
    anew here, and what the network draws in between changes nothing. So do workers that it keeps from epoch to epoch.

    Raises:
        CallerError: if the loader gives nothing, or fails.
    """
    stream, loader = _stream(seed), _with_new_workers(loader)
    kept = {generator: generator.get_state() for generator in _generators(loader)}
    for generator in kept:
        generator.manual_seed(seed_from("rank", seed))
    try:
        given = 0
        batches: Iterator[Batch] = iter(())
        while given < num_batches:
            with stream.block():
                try:
                    batch = next(batches, None)
                    if batch is None:
                        batches = iter(loader)
                        batch = next(batches, None)
                except Exception as error:  # a foreign loader may fail in any way
                    raise _failed(given + 1, error) from error
            if batch is None:
                raise CallerError(_none(given))
            given += 1
            yield batch
    finally:
        for generator, before in kept.items():
            generator.set_state(before)


def read_once(batches: Iterator[Batch], num_batches: int, seed: int) -> list[Batch]:
    """The next batches of an iterator, no more than asked for, on the random state that `replayed` reads a loader on.

    They are copies: an iterator may give the same tensors again, with the next batch in them.

    Raises:
        CallerError: if it fails.
    """
    read: list[Batch] = []
    with _stream(seed).block():
        try:
            for batch in islice(batches, num_batches):
                read.append(_kept(batch))
        except Exception as error:  # a foreign iterator may fail in any way
            raise _failed(len(read) + 1, error) from error
    return read


class SameBatches:
    """Notices when a network is shown other batches than the first one was."""

    def __init__(self) -> None:
        self.marks: list[tuple[str, ...]] = []
        self.doubts: dict[int, str] = {}  # about a batch, by its place
        self.batch_size: int | None = None  # of the first one; None until it was shown

    def checked(self, batches: Iterator[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
        """The same batches as pairs (inputs, targets).

        Raises:
            CallerError: if one is no such pair, or not the one of the first time.
        """
        for place, (inputs, targets) in enumerate(map(_pair, batches)):
            sums = _sums(inputs)
            mark = (str(inputs.shape), *sums, *_sums(targets))
            self.batch_size = self.batch_size or len(inputs)
            if place == len(self.marks):
                self.marks.append(mark)
                self.doubts[place] = _doubt(inputs, sums)
            if mark != self.marks[place]:
                raise CallerError(
                    f"The loader gave another batch {place + 1} the second time, so networks cannot be compared; pass "
                    "a list of batches, or draw its randomness from the global state of torch, Python or NumPy."
                )
            yield inputs, targets


def _kept(batch: Batch) -> Batch:
    """A batch that stays as it is; what is none is refused when it is shown."""
    if not isinstance(batch, (tuple, list)):
        return batch
    return tuple(part.clone() if isinstance(part, Tensor) else part for part in batch)


def _doubt(inputs: Tensor, sums: tuple[str, ...]) -> str:
    """Why a network may fail on such inputs through no fault of its own; empty if nothing speaks against them."""
    if inputs.dtype == torch.uint8:
        return "; the loader gives bytes (uint8): give floating-point inputs, standardised per channel"
    if not all(math.isfinite(float(total)) for total in sums):
        return "; the loader's inputs there are not all finite"
    if len(inputs) == 1:
        return "; the loader's batch there holds a single input: use larger batches, or drop_last=True"
    return ""


def _sums(values: Tensor) -> tuple[str, ...]:
    """What changes with any value and also when values change places.

    The sum of all would not notice a flipped image, nor the same images in another order: it is taken over rows and
    over columns, each with a weight of its own.
    """
    whole = values if values.layout == torch.strided else values.to_dense()
    rows = whole[:, None].flatten(1)
    totals = (rows.sum(axis, dtype=torch.float64) for axis in (0, 1))
    return tuple(repr(float((total * torch.arange(1, len(total) + 1).to(total)).sum())) for total in totals)


def num_batches_of(loader: Iterable[Batch]) -> int:
    """Mini-batches of one epoch; 0 where the loader does not say.

    A loader of a part of a run, as `data_modules` has them, has another length and says `batches_per_epoch`.

    Raises:
        CallerError: if its `__len__` fails.
    """
    if isinstance(per_epoch := getattr(loader, "batches_per_epoch", None), int):
        return per_epoch
    try:
        return len(loader)  # type: ignore[arg-type]  # what has no length raises
    except (TypeError, NotImplementedError):
        return 0
    except Exception as error:  # a foreign loader may fail in any way
        raise CallerError(f"The loader's __len__ failed: {described(error)}.") from error


def _pair(batch: object) -> tuple[Tensor, Tensor]:
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else ()
    if len(parts) != 2 or not all(isinstance(part, Tensor) for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts[:3]) + (", …" if len(parts) > 3 else "")
        found = f"{len(parts)} ({kinds})" if parts else kind_of(batch)
        raise CallerError(
            f"A batch must be two tensors, (inputs, class indices); the loader gave {found}; {BATCHED}, and "
            f"{OTHER_TASKS}."
        )
    inputs: Tensor = parts[0]
    targets: Tensor = parts[1]
    if not inputs.dim() or not targets.dim() or not len(inputs):
        raise CallerError(
            f"A batch must hold at least one input; the loader gave inputs {list(inputs.shape)} and targets "
            f"{list(targets.shape)}; {BATCHED}."
        )
    if len(inputs) != len(targets):
        raise CallerError(f"A batch of the loader has {len(inputs)} inputs, but {len(targets)} targets.")
    if targets.is_floating_point():
        return inputs, _probabilities(targets)
    targets = targets.long()  # torch finds no minimum of some whole numbers
    if targets.dim() != 1 or int(targets.min()) < 0:
        raise CallerError(
            "Targets must be class indices from 0, one for each input (or one-hot in floating point); the loader gave "
            f"{list(targets.shape)} with smallest {int(targets.min()) if targets.numel() else 'none'}; {OTHER_TASKS}."
        )
    return inputs, targets


def _probabilities(targets: Tensor) -> Tensor:
    """Floating-point targets, if a cross-entropy makes sense of them.

    Raises:
        CallerError: if they are those of a regression, or of several labels at once.
    """
    totals = targets.float().sum(-1)
    is_one = (totals - 1).abs() < SUM_TOLERANCE
    if targets.dim() != 2 or not bool(is_one.all()) or float(targets.min()) < 0:
        first = [round(value, 3) for value in targets.flatten()[:3].tolist()]
        raise CallerError(
            "Targets must be class indices of an integer type, or probabilities [inputs, classes] that sum to 1; the "
            f"loader gave {targets.dtype} {list(targets.shape)} that begin with {first}; {OTHER_TASKS}."
        )
    return targets


def _with_new_workers(loader: Iterable[Batch]) -> Iterable[Batch]:
    """The loader, or a copy whose workers are yet to start: kept ones go on drawing where the last reader left them."""
    if not isinstance(loader, DataLoader) or not loader.persistent_workers:
        return loader
    fresh = copy.copy(loader)
    fresh._iterator = None  # where torch keeps them
    return fresh


def _stream(seed: int) -> RandomStream:
    return RandomStream(seed_from("rank", seed))


def _none(given: int) -> str:
    again = f", though it gave {counted(given, 'batch', 'batches')} before" if given else ""
    return f"The loader gives no batch{again}; pass one that yields (inputs, targets) each time that it is read."


def _failed(place: int, error: Exception) -> CallerError:
    return CallerError(f"The loader failed at batch {place}: {described(error)}")


def _generators(loader: Iterable[Batch]) -> list[torch.Generator]:
    """The generators that a `DataLoader` and its sampler own."""
    owners = (
        loader,
        getattr(loader, "sampler", None),
        getattr(getattr(loader, "batch_sampler", None), "sampler", None),
    )
    found = [getattr(owner, "generator", None) for owner in owners]
    return list({id(g): g for g in found if isinstance(g, torch.Generator)}.values())
