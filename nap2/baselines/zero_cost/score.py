"""Score one network by many proxies at once, and leave it as it was."""

import math
from collections.abc import Iterable

from torch import Tensor, nn

from nap2.baselines.undefined import UndefinedScoreError
from nap2.baselines.zero_cost.passes import Passes
from nap2.baselines.zero_cost.proxy import Proxy, ProxyScore
from nap2.baselines.zero_cost.registry import PROXIES
from nap2.baselines.zero_cost.workbench import make_workbench, undisturbed
from nap2.errors import check_name


def score_network(
    network: nn.Module, inputs: Tensor, targets: Tensor, proxies: Iterable[str | Proxy] | None = None, seed: int = 0
) -> dict[str, ProxyScore]:
    """Score a network on one mini-batch.

    All work is done on copies: weights, buffers, gradients, modes and all random states are as before. Forward and
    backward passes are shared between proxies, but no value depends on which others are asked for.

    Args:
        network: any module that returns logits `[B, classes]`; half precision is scored in float32, and a network that
            was compiled or wrapped in `DataParallel` without that.
        inputs: `[B, ...]`, one mini-batch as in training; moved to the network's device.
        targets: integers `[B]`.
        proxies: names in `PROXIES`, or records of your own; all of the table by default.
        seed: of everything that is drawn (re-initialised weights, random images, dropout).

    Returns:
        A value or a failure for each proxy, in the order asked for. What the network or the batch does not allow
        (no ReLU, a label outside its classes, images that are not finite, a forward that raises) fails the proxies
        that read it and no others.

    Raises:
        UnknownNameError: a name that is not in `PROXIES`.
        NetworkError: not a module, an empty batch, labels that do not match the images one to one, complex tensors, or
            tensors that hold no values (on the device `meta`, or of a lazy layer that no batch has run through).
    """
    chosen = _chosen(proxies)
    bench = make_workbench(network, inputs, targets, seed)
    with undisturbed(bench.inputs.device):
        passes = Passes(bench, frozenset().union(*(proxy.needs for proxy in chosen)))
        return {proxy.name: _score(proxy, passes) for proxy in chosen}


def _chosen(proxies: Iterable[str | Proxy] | None) -> list[Proxy]:
    if proxies is None:
        return list(PROXIES.values())
    return [_record(proxy) for proxy in ([proxies] if isinstance(proxies, (str, Proxy)) else proxies)]


def _record(proxy: str | Proxy) -> Proxy:
    if isinstance(proxy, Proxy):
        return proxy
    check_name("proxy", proxy, PROXIES)
    return PROXIES[proxy]


def _score(proxy: Proxy, passes: Passes) -> ProxyScore:
    outcomes = [passes.outcome(name) for name in sorted(proxy.needs)]
    start = passes.bench.clock()
    value, failure = _value(proxy, passes)
    seconds = passes.bench.clock() - start + sum(outcome.seconds for outcome in outcomes)
    forwards = sum(outcome.forwards for outcome in outcomes)
    return ProxyScore(value, failure, seconds, forwards, tuple(sorted(name.value for name in proxy.needs)))


def _value(proxy: Proxy, passes: Passes) -> tuple[float | None, str | None]:
    try:
        value = passes.bench.attempt(proxy.name, lambda: float(proxy.score(passes)))
    except UndefinedScoreError as error:
        return None, str(error)
    return (value, None) if math.isfinite(value) else (None, f"its value is {value}")
