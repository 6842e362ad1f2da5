"""Architectures of a search space as networks to rank."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from nap2.seeding import forked_random_state
from nap2.spaces.search_space import SearchSpace


def networks_from(
    arch_strs: Sequence[str], space: SearchSpace, skeleton: Mapping[str, int], seed: int
) -> dict[str, nn.Module]:
    """The network of each architecture, by its arch string; each draws its weights from the seed anew.

    Raises:
        ArchStringError: for a string that the space cannot read, before anything is built.
        UnknownNameError, NetworkError: for a skeleton that the space cannot have.
    """
    space.check_skeleton(skeleton)
    for arch_str in arch_strs:
        space.check(arch_str)
    networks = {}
    with forked_random_state():
        for arch_str in arch_strs:
            torch.manual_seed(seed)
            networks[arch_str] = space.build(arch_str, **skeleton)
    return networks
