"""The networks of cells: sizes, order of modules, and pruning that changes no number."""

import random

import pytest
import torch
from torch import Tensor, nn

from nap2.errors import NetworkError
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.spaces import SPACES
from nap2.spaces.nasbench201.cell import OPERATIONS, Cell

SPACE = SPACES["nasbench201"]
SMALL = {"num_classes": 10, "stem_channels": 4, "cells_per_stage": 1}
HEAVIEST = str(Cell(("nor_conv_3x3",) * 6))
NOTHING = str(Cell(("none",) * 6))


def test_the_heaviest_network_has_the_published_size_and_98_layers() -> None:
    network = SPACE.build(HEAVIEST)
    assert sum(p.numel() for p in network.parameters()) == 1_531_546
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in network.modules()) == 98


@pytest.mark.parametrize("skeleton", [SMALL, {"num_classes": 7, "stem_channels": 6, "cells_per_stage": 2}])
def test_closed_form_sizes_equal_built_networks(skeleton: dict[str, int]) -> None:
    for name in [HEAVIEST, NOTHING, *random.Random(1).sample(SPACE.arch_strings(), 40)]:
        network = SPACE.build(name, **skeleton)
        assert SPACE.num_parameters(name, **skeleton) == sum(p.numel() for p in network.parameters())


def test_modules_stand_in_the_published_order() -> None:
    names = [name for name, _ in SPACE.build(HEAVIEST, **SMALL).named_parameters()]
    assert names[0] == "stem.0.weight"
    assert names[3] == "cells.0.layers.0.op.1.weight"
    first_reduction = names[names.index("cells.1.conv_a.op.1.weight") :]
    assert first_reduction[:7] == [
        *(f"cells.1.{conv}.op.{part}" for conv in ("conv_a", "conv_b") for part in ("1.weight", "2.weight", "2.bias")),
        "cells.1.downsample.1.weight",
    ]
    assert names[-4:] == ["lastact.0.weight", "lastact.0.bias", "classifier.weight", "classifier.bias"]


@pytest.mark.parametrize("field", ["num_classes", "stem_channels", "cells_per_stage"])
def test_a_size_below_one_is_refused(field: str) -> None:
    with pytest.raises(NetworkError, match=f"{field}=0; use at least 1"):
        SPACE.build(HEAVIEST, **{**SMALL, field: 0})


def train(name: str, prune: bool, steps: int = 3) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Logits of each step; last gradients and weights; the recorded maps."""
    torch.manual_seed(0)
    network = SPACE.build(name, **SMALL)
    if prune:
        network.prune_dead_edges()
    recorder = SnapshotRecorder(network, every=1, limit=steps)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images = torch.Generator().manual_seed(1)
    logits = []
    for _ in range(steps):
        x = torch.randn(4, 3, 8, 8, generator=images)
        target = torch.randint(0, 10, (4,), generator=images)
        optimizer.zero_grad()
        logits.append(network(x))
        nn.functional.cross_entropy(logits[-1], target).backward()
        recorder.step()
        gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        optimizer.step()
    state = [p.detach() for p in network.parameters()]
    assert len(gradients) == len(state), "a parameter has no gradient"
    return [x.detach() for x in logits], [*gradients, *state], recorder.trajectory().values


def dead_cells() -> list[str]:
    """Cells in which pruning has something to do, and the emptiest one."""
    cells = [Cell.parse(name) for name in random.Random(2).sample(SPACE.arch_strings(), 300)]
    chosen = [cell for cell in cells if cell.operations[3:].count("none") >= 2 and "nor_conv_3x3" in cell.operations]
    return [NOTHING, *map(str, chosen[:15])]


@pytest.mark.parametrize("name", dead_cells())
def test_pruning_changes_no_logit_no_gradient_no_weight_and_no_map(name: str) -> None:
    plain, pruned = train(name, prune=False), train(name, prune=True)
    for mine, theirs in zip([*plain[0], *plain[1]], [*pruned[0], *pruned[1]], strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(plain[2], pruned[2])


def test_pruning_does_less_work() -> None:
    """The convolution into a node that leads nowhere is not called."""
    name = str(Cell(("nor_conv_3x3", "none", "none", "skip_connect", "none", "none")))
    calls = {}
    for prune in (False, True):
        network = SPACE.build(name, **SMALL)
        if prune:
            network.prune_dead_edges()
        seen: list[str] = []
        network.cells[0].layers[0].register_forward_hook(lambda *_, seen=seen: seen.append("called"))
        network(torch.zeros(2, 3, 8, 8))
        calls[prune] = len(seen)
    assert calls == {False: 1, True: 0}


def test_initial_weights_do_not_depend_on_pruning_and_follow_the_seed() -> None:
    states = []
    for prune in (False, True):
        torch.manual_seed(5)
        network = SPACE.build(dead_cells()[1], **SMALL)
        states.append((network.prune_dead_edges() if prune else network).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("size", [8, 16, 32])
def test_any_image_size_gives_logits(size: int) -> None:
    assert SPACE.build(HEAVIEST, **SMALL)(torch.zeros(2, 3, size, size)).shape == (2, 10)


def test_operations_stand_in_one_place() -> None:
    assert OPERATIONS == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
