"""Proportional over accuracy: orders of candidates in which every prefix holds each decile in proportion."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np

from nap2.seeding import seed_from

NUM_STRATA = 10


def strata_of(accuracies: Mapping[str, float]) -> dict[str, int]:
    """The decile, 0..9, that each candidate's accuracy falls in; ties in the order of the arch strings."""
    ranked = sorted(accuracies, key=lambda arch: (accuracies[arch], arch))
    return {arch: rank * NUM_STRATA // len(ranked) for rank, arch in enumerate(ranked)}


def stratified_order(arch_strs: Sequence[str], strata: Mapping[str, int], purpose: tuple[object, ...]) -> list[str]:
    """A random order in which every prefix holds each stratum in proportion to its size.

    The j-th of m candidates of a stratum is placed at (j + u) / m, with one random u per stratum.
    """
    random = np.random.default_rng(seed_from("split", *purpose))
    places: dict[str, float] = {}
    for stratum in range(NUM_STRATA):
        members = [arch for arch in arch_strs if strata[arch] == stratum]
        offset = random.random()
        for place, member in enumerate(random.permutation(len(members))):
            places[members[member]] = (place + offset) / len(members)
    return sorted(places, key=lambda arch: (places[arch], arch))


def without_classes(arch_strs: Iterable[str], classes: Collection[str], class_of: Callable[[str], str]) -> list[str]:
    """The arch strings, in their order, whose class is none of `classes`."""
    return [arch for arch in arch_strs if class_of(arch) not in classes] if classes else list(arch_strs)
