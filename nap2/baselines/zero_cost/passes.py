"""The shared passes of one network and batch, each run once, when the first proxy asks for it."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.absolute import ENTROPY_DRAWS, flow_entropy, synaptic_flow
from nap2.baselines.zero_cost.batch_run import BACKWARD, Outcome, run_batch
from nap2.baselines.zero_cost.blocks import block_statistics
from nap2.baselines.zero_cost.copying import copy_network
from nap2.baselines.zero_cost.gaussian import (
    SWAP_DRAWS,
    SWAP_IMAGES,
    ZEN_DRAWS,
    ZEN_IMAGES,
    gaussian_patterns,
    gaussian_response,
)
from nap2.baselines.zero_cost.gradients import SINGLE_IMAGES, sample_signs, split_gradients, tangent_kernel
from nap2.baselines.zero_cost.operations import count_operations
from nap2.baselines.zero_cost.pass_names import BATCH_RUN, Pass
from nap2.baselines.zero_cost.workbench import Workbench, computes_weights


def original(bench: Workbench) -> nn.Module:
    """The network itself, to be read and never run; a copy where a look at a weight may change buffers."""
    return copy_network(bench.network) if computes_weights(bench.network) else bench.network


PRODUCERS: Mapping[Pass, Callable[[Workbench], Any]] = MappingProxyType(
    {
        Pass.WEIGHTS: original,
        Pass.OPERATIONS: count_operations,
        Pass.SPLIT_GRADIENTS: split_gradients,
        Pass.SAMPLE_SIGNS: sample_signs,
        Pass.TANGENT_KERNEL: tangent_kernel,
        Pass.SYNAPTIC_FLOW: synaptic_flow,
        Pass.FLOW_ENTROPY: flow_entropy,
        Pass.GAUSSIAN_RESPONSE: gaussian_response,
        Pass.GAUSSIAN_PATTERNS: gaussian_patterns,
        Pass.BLOCK_STATISTICS: block_statistics,
    }
)
"""What runs each pass that does not come from the run of the batch."""


def forwards_of(name: Pass, num_images: int) -> float:
    """What a pass of `PRODUCERS` costs, in forward passes of a whole batch of `num_images`."""
    single = min(SINGLE_IMAGES, num_images)
    images = {
        Pass.OPERATIONS: 1.0,
        Pass.SPLIT_GRADIENTS: (1 + BACKWARD) * num_images,
        Pass.SAMPLE_SIGNS: (1 + BACKWARD) * single,
        Pass.TANGENT_KERNEL: (1 + BACKWARD * single) * single,
        Pass.SYNAPTIC_FLOW: 1 + BACKWARD,
        Pass.FLOW_ENTROPY: float(ENTROPY_DRAWS),
        Pass.GAUSSIAN_RESPONSE: 2.0 * ZEN_DRAWS * min(ZEN_IMAGES, num_images),
        Pass.GAUSSIAN_PATTERNS: float(SWAP_DRAWS * min(SWAP_IMAGES, num_images)),
        Pass.BLOCK_STATISTICS: (1 + BACKWARD) * num_images,
    }
    return images.get(name, 0.0) / num_images


class Passes:
    """Lazily computed, cached passes. Values do not depend on which other proxies are asked for.

    Attributes:
        bench: the network and batch that are scored.
    """

    def __init__(self, bench: Workbench, planned: Iterable[Pass]) -> None:
        self.bench = bench
        self._planned = frozenset(planned) & BATCH_RUN
        self._outcomes: dict[Pass, Outcome] = {}

    def __getitem__(self, name: Pass) -> Any:
        outcome = self.outcome(name)
        if outcome.failure is not None:
            raise UndefinedScoreError(outcome.failure)
        return outcome.value

    def outcome(self, name: Pass) -> Outcome:
        """The result or failure of a pass with its cost; computed at the first call."""
        if name not in self._outcomes:
            if name in BATCH_RUN:
                self._outcomes.update(self._run_batch(self._planned | {name}))
            else:
                self._outcomes[name] = self._produce(name)
        return self._outcomes[name]

    @property
    def num_images(self) -> int:
        """Images of the batch."""
        return len(self.bench.inputs)

    def _run_batch(self, wanted: frozenset[Pass]) -> dict[Pass, Outcome]:
        start = self.bench.clock()
        try:
            return self.bench.attempt("batch run", lambda: run_batch(self.bench, wanted))
        except UndefinedScoreError as error:
            return dict.fromkeys(wanted, Outcome(None, str(error), self.bench.clock() - start, 0.0))

    def _produce(self, name: Pass) -> Outcome:
        start = self.bench.clock()
        forwards = forwards_of(name, self.num_images)
        try:
            value = self.bench.attempt(name.value, lambda: PRODUCERS[name](self.bench))
        except UndefinedScoreError as error:
            return Outcome(None, str(error), self.bench.clock() - start, forwards)
        return Outcome(value, None, self.bench.clock() - start, forwards)
