"""What a zero-cost proxy is: a record of what it reads, how it reads it, and which way is up."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from nap2.baselines.zero_cost.pass_names import Pass

if TYPE_CHECKING:
    from nap2.baselines.zero_cost.passes import Passes


class BatchNorm(StrEnum):
    """What normalisation does while a proxy looks."""

    BATCH = "batch"  # training mode: the statistics of the images at hand
    RUNNING = "running"  # evaluation mode: the stored statistics
    OFF = "off"  # identity
    UNUSED = "unused"  # the network is not run


@dataclass(frozen=True, slots=True)
class Proxy:
    """A score read off an untrained network and one mini-batch.

    Attributes:
        name: key in `PROXIES`.
        definition: one line that says what is computed.
        needs: the shared passes it reads.
        score: from the passes to the value; raises `UndefinedScoreError` where there is none.
        higher_is_better: direction as published.
        batch_norm: what normalisation does meanwhile.
        dtype: of the arithmetic; "network" is the network's own (float32 for half precision).
        source: paper and code that `score` follows.
        images: how many of the batch's images it reads at most; None for all of them.
    """

    name: str
    definition: str
    needs: frozenset[Pass]
    score: Callable[["Passes"], float]
    higher_is_better: bool
    batch_norm: BatchNorm
    dtype: str
    source: str
    images: int | None = None


@dataclass(frozen=True, slots=True)
class ProxyScore:
    """The value of one proxy on one network, or the reason why there is none.

    Attributes:
        value: the score, finite; None if it failed.
        failure: one line; None if there is a value.
        seconds: what this proxy costs alone: the passes it needs and its own arithmetic.
        forwards: the same in forward passes of the whole batch; a backward pass counts as two.
        passes: names of the passes it read.
    """

    value: float | None
    failure: str | None
    seconds: float
    forwards: float
    passes: tuple[str, ...]
