"""One forward pass of the batch, the gradients asked for, and everything that is read on the way."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import grad
from torch.nn.functional import cross_entropy

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.layers import weights_of
from nap2.baselines.zero_cost.observers import (
    CorrelationObserver,
    FirstImageObserver,
    Observer,
    OverlapObserver,
    SaliencyObserver,
    WordObserver,
)
from nap2.baselines.zero_cost.pass_names import Pass
from nap2.baselines.zero_cost.workbench import Workbench, checked_labels, failed, logits_of

OBSERVERS: Mapping[Pass, Callable[[Callable[[], float]], Observer]] = MappingProxyType(
    {
        Pass.PATTERN_OVERLAP: OverlapObserver,
        Pass.PATTERN_WORDS: WordObserver,
        Pass.CORRELATIONS: CorrelationObserver,
        Pass.FIRST_IMAGE: FirstImageObserver,
        Pass.OUTPUT_SALIENCY: SaliencyObserver,
    }
)
LOSS_PASSES = frozenset({Pass.LOSS_GRADIENT, Pass.CURVATURE, Pass.CORRELATIONS, Pass.OUTPUT_SALIENCY})
BACKWARD = 2.0  # a backward pass in forward passes, by the usual count


@dataclass(frozen=True)
class Outcome:
    """What a pass found, or why it found nothing; seconds and forward passes as if it had run alone."""

    value: Any
    failure: str | None
    seconds: float
    forwards: float


@dataclass(frozen=True)
class WeightGradients:
    """`weights[l]` and the gradient of the mean loss there; None where the loss does not depend on the weight."""

    weights: list[Tensor]
    gradients: list[Tensor | None]

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and gradient of every layer that has one."""
        return [(w.detach(), g) for w, g in zip(self.weights, self.gradients, strict=True) if g is not None]


@dataclass(frozen=True)
class InputGradient:
    """`jacobian` `[B, ...]`: the gradient of the sum of all logits for the images; and the number of logits."""

    jacobian: Tensor
    num_classes: int


def run_batch(bench: Workbench, wanted: Iterable[Pass]) -> dict[Pass, Outcome]:
    """Run the batch once for all the wanted passes of `BATCH_RUN`.

    Raises:
        UndefinedScoreError: the network cannot run on the batch at all.
    """
    run = _BatchRun(bench, frozenset(wanted))
    run.forward()
    run.differentiate()
    return run.outcomes()


class _BatchRun:
    """The state of one run: network, observers, logits, what each phase cost and why it failed."""

    def __init__(self, bench: Workbench, wanted: frozenset[Pass]) -> None:
        self.bench, self.wanted = bench, wanted
        self.network = bench.copy()
        self.images = bench.images()
        self.observers = {name: make(bench.clock) for name, make in OBSERVERS.items() if name in wanted}
        self.has_loss = bool(wanted & LOSS_PASSES)
        self.seconds = dict.fromkeys(("forward", "loss", "curvature", "input"), 0.0)
        self.values: dict[Pass, Any] = {}
        self.failures: dict[Pass, str] = {}

    def forward(self) -> None:
        for observer in self.observers.values():
            observer.attach(self.network, len(self.images))
        wants_input = Pass.INPUT_GRADIENT in self.wanted and self.images.is_floating_point()
        fed = self.images.requires_grad_(wants_input)
        with torch.set_grad_enabled(self.has_loss or wants_input):
            self.output = self._timed("forward", lambda: self.network(fed.clone() if wants_input else fed))
        if isinstance(self.output, Tensor) and not bool(self.output.isfinite().all()):
            raise UndefinedScoreError("the logits are not finite")

    def differentiate(self) -> None:
        if self.has_loss:
            self._try(LOSS_PASSES, self._loss_gradient)
        if Pass.CURVATURE in self.wanted and Pass.CURVATURE not in self.failures:
            self._try({Pass.CURVATURE}, self._curvature)
        if Pass.INPUT_GRADIENT in self.wanted:
            self._try({Pass.INPUT_GRADIENT}, self._input_gradient)

    def outcomes(self) -> dict[Pass, Outcome]:
        for name, observer in self.observers.items():
            self._try({name}, partial(self._keep, name, observer))
        return {name: self._outcome(name) for name in self.wanted}

    def _keep(self, name: Pass, observer: Observer) -> None:
        self.values[name] = observer.result()

    def _outcome(self, name: Pass) -> Outcome:
        has_loss = name in LOSS_PASSES
        seconds = self.seconds["forward"] + (self.seconds["loss"] if has_loss else 0.0)
        seconds += self.seconds["curvature"] if name is Pass.CURVATURE else 0.0
        seconds += self.seconds["input"] if name is Pass.INPUT_GRADIENT else 0.0
        seconds += self.observers[name].seconds if name in self.observers else 0.0
        backwards = 2.0 if name is Pass.CURVATURE else float(has_loss or name is Pass.INPUT_GRADIENT)
        failure = self.failures.get(name)
        return Outcome(self.values.get(name), failure, seconds, 1.0 + BACKWARD * backwards)

    def _loss_gradient(self) -> None:
        logits = logits_of(self.output, len(self.images))
        loss = cross_entropy(logits, checked_labels(self.bench.targets, logits.shape[1]))
        weights = weights_of(self.network)
        if not weights or not loss.requires_grad:
            raise UndefinedScoreError("the loss does not depend on any weight")
        for observer in self.observers.values():
            observer.in_loss = True
        curved = Pass.CURVATURE in self.wanted
        # A graph that is freed on the way costs less memory traffic.
        again = curved or Pass.INPUT_GRADIENT in self.wanted
        gradients = self._timed(
            "loss", lambda: grad(loss, weights, retain_graph=again, create_graph=curved, allow_unused=True)
        )
        for observer in self.observers.values():
            observer.in_loss = False
        if all(g is None for g in gradients):  # another pass may have asked for a graph that holds no weight
            raise UndefinedScoreError("the loss does not depend on any weight")
        self.values[Pass.LOSS_GRADIENT] = WeightGradients(weights, [g if g is None else g.detach() for g in gradients])
        self.attached = list(gradients)

    def _curvature(self) -> None:
        weights = self.values[Pass.LOSS_GRADIENT].weights
        used = [g for g in self.attached if g is not None and g.requires_grad]
        if not used:
            raise UndefinedScoreError("the loss gradient is constant: there is no curvature")

        def product() -> tuple[Tensor | None, ...]:
            along = torch.stack([(g * g.detach()).sum() for g in used]).sum()
            keep = Pass.INPUT_GRADIENT in self.wanted
            products: tuple[Tensor | None, ...] = grad(along, weights, retain_graph=keep, allow_unused=True)
            return products

        self.values[Pass.CURVATURE] = WeightGradients(weights, list(self._timed("curvature", product)))
        self.attached = []

    def _input_gradient(self) -> None:
        if not self.images.is_floating_point():
            raise UndefinedScoreError("the network takes integers, which have no gradient")
        logits = logits_of(self.output, len(self.images))
        if not logits.requires_grad:
            raise UndefinedScoreError("the logits do not depend on the images")
        (gradient,) = self._timed("input", lambda: grad(logits.sum(), self.images, allow_unused=True))
        if gradient is None:
            raise UndefinedScoreError("the logits do not depend on the images")
        self.values[Pass.INPUT_GRADIENT] = InputGradient(gradient.detach(), logits.shape[1])

    def _try(self, names: Iterable[Pass], work: Callable[[], None]) -> None:
        """Do a step; where it is undefined or the network fails at it, its passes fail and the others go on."""
        try:
            work()
        except UndefinedScoreError as error:
            self._fail(names, str(error))
        except Exception as error:  # a network's own code may raise anything
            if self.bench.channels_last:
                raise  # perhaps for the memory format: the run is tried again without it
            self._fail(names, failed(error))

    def _fail(self, names: Iterable[Pass], reason: str) -> None:
        for name in names:
            self.failures.setdefault(name, reason)

    def _timed(self, phase: str, work: Callable[[], Any]) -> Any:
        observed = sum(observer.seconds for observer in self.observers.values())
        start = self.bench.clock()
        result = work()
        elapsed = self.bench.clock() - start
        self.seconds[phase] = elapsed - (sum(o.seconds for o in self.observers.values()) - observed)
        return result


def gradients_of_loss(network: nn.Module, images: Tensor, labels: Tensor) -> WeightGradients:
    """Loss gradients of one batch through a network that is already a copy."""
    logits = logits_of(network(images), len(images))
    loss = cross_entropy(logits, checked_labels(labels, logits.shape[1]))
    weights = weights_of(network)
    if not weights or not loss.requires_grad:
        raise UndefinedScoreError("the loss does not depend on any weight")
    return WeightGradients(weights, list(grad(loss, weights, allow_unused=True)))
