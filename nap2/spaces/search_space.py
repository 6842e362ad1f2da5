"""What every search space offers, behind one record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from nap2.errors import NetworkError, check_name


@dataclass(frozen=True)
class SearchSpace:
    """A set of architectures that arch strings name.

    Attributes:
        name: as in `SPACES` and `conf/space/`.
        size: number of arch strings.
        build: `(arch_str, **skeleton) -> nn.Module` returning logits, initialised from torch's random state. One that
            has a `prune_dead_edges()` is asked for it before it is trained (`Prunable` in `nap2.training`).
        default_skeleton: the published values of `build`'s keyword arguments.
        check: raises `ArchStringError` for a string that the space cannot read.
        arch_strings: all of them, in the benchmark's index order.
        classes: class key of an arch string, by split flavour: equal keys, equal networks.
        num_parameters: `(arch_str, **skeleton) -> int`, in closed form.
        graph_features: float64 `[len(graph_feature_names)]` read off the graph alone.
        graph_feature_names: what they are.
        arch_str_of_graph: `(matrix [V, V], operation names) -> arch string`, where the published files hold graphs.
    """

    name: str
    size: int
    build: Callable[..., nn.Module]
    default_skeleton: Mapping[str, int]
    check: Callable[[str], None]
    arch_strings: Callable[[], tuple[str, ...]]
    classes: Mapping[str, Callable[[str], str]]
    num_parameters: Callable[..., int]
    graph_features: Callable[[str], NDArray[np.float64]]
    graph_feature_names: tuple[str, ...]
    arch_str_of_graph: Callable[[Sequence[Sequence[int]], Sequence[str]], str] | None = None

    def check_skeleton(self, skeleton: Mapping[str, object]) -> None:
        """Refuse keyword arguments that `build` would not take.

        Raises:
            UnknownNameError: for a name that the space does not have.
            NetworkError: for a value that is no whole number from 1 on.
        """
        for name, value in skeleton.items():
            check_name(f"size of a {self.name} network", name, self.default_skeleton)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise NetworkError(f"A {self.name} network cannot have {name}={value!r}; use a whole number from 1 on.")
