"""What a zero-cost proxy is: a record of what it reads, how it reads it, and which way is up."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from nap2.errors import Nap2Error

if TYPE_CHECKING:
    from nap2.baselines.zero_cost.passes import Passes


class UndefinedScoreError(Nap2Error):
    """A score that has no value for this network and batch; the message becomes the failure of its row."""


class Pass(StrEnum):
    """One quantity read off a network; every proxy that needs it reads the same one.

    The passes of the first group fall out of a single run of the batch (see `batch_run.py`).
    """

    PATTERN_OVERLAP = "pattern overlap"  # how many ReLUs two images switch alike
    PATTERN_WORDS = "pattern words"  # the images each ReLU is active for, one bit an image
    CORRELATIONS = "correlations"  # between images, at every ReLU, of inputs and of gradients
    FIRST_IMAGE = "first image"  # correlations between the channels of every leaf module, first image
    LOSS_GRADIENT = "loss gradient"  # of every layer's weight
    OUTPUT_SALIENCY = "output saliency"  # activation times gradient at every layer's output
    CURVATURE = "curvature"  # the Hessian times the loss gradient
    INPUT_GRADIENT = "input gradient"  # of the sum of all logits

    WEIGHTS = "weights"
    OPERATIONS = "operations"  # one image, counting multiply-adds
    SPLIT_GRADIENTS = "split gradients"  # loss gradients of the two halves of the batch
    SAMPLE_SIGNS = "sample signs"  # signs of the loss gradient of single images
    TANGENT_KERNEL = "tangent kernel"  # inner products of the gradients of single images' logits
    SYNAPTIC_FLOW = "synaptic flow"  # gradient of the absolute network, float64
    FLOW_ENTROPY = "flow entropy"  # activations of the absolute network, float64
    GAUSSIAN_RESPONSE = "gaussian response"  # output change of a re-initialised network
    GAUSSIAN_PATTERNS = "gaussian patterns"  # activation patterns of re-initialised networks
    BLOCK_STATISTICS = "block statistics"  # features and gradients between blocks of a re-initialised network


BATCH_RUN = frozenset(
    {
        Pass.PATTERN_OVERLAP,
        Pass.PATTERN_WORDS,
        Pass.CORRELATIONS,
        Pass.FIRST_IMAGE,
        Pass.LOSS_GRADIENT,
        Pass.OUTPUT_SALIENCY,
        Pass.CURVATURE,
        Pass.INPUT_GRADIENT,
    }
)
"""The passes that share one forward pass of the whole batch."""


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
