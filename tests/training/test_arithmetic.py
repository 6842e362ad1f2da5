"""A device whose float32 is less is refused before it trains anything; a whole step is that of double precision."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from nap2.errors import ConfigError
from nap2.seeding import make_deterministic
from nap2.spaces import SPACES
from nap2.training import arithmetic
from nap2.training.arithmetic import LARGEST_ERROR, arithmetic_errors, check_arithmetic
from nap2.training.layout import memory_format
from nap2.training.recipe import RECIPES

SMALL = 8
STEEP = "|avg_pool_3x3~0|+|avg_pool_3x3~0|nor_conv_3x3~1|+|none~0|skip_connect~1|nor_conv_3x3~2|"
"""No path without a ReLU leads through this cell: in a full network one step magnifies what is off in a gradient."""


def rounded(values: torch.Tensor, bits: int) -> torch.Tensor:
    return values.view(torch.int32).bitwise_and(-1 << (23 - bits)).view(torch.float32)


class Coarse(nn.Conv2d):
    """A 1×1 convolution that keeps as many bits of what it reads in float32 as TF32 does."""

    bits = 10

    def forward(self, x):
        if x.dtype is torch.float32:
            return nn.functional.conv2d(rounded(x.detach(), self.bits) + (x - x.detach()), self.weight)
        return super().forward(x)


def test_a_cpu_computes_in_float32():
    check_arithmetic("cpu", batch_size=SMALL)


def test_every_result_and_gradient_is_compared_in_the_sizes_of_training():
    names = {name for name, _ in arithmetic_errors("cpu", batch_size=SMALL)}
    assert len(names) == len(list(arithmetic_errors("cpu", batch_size=SMALL))) == 2 * (3 + 3 + 4 + 2) + 3 + 4
    assert "the input gradient of a batch normalisation (64 channels, 8×8)" in names
    assert "the gradient of bias of a linear layer" in names


def test_bfloat16_is_compared_in_its_own_layout_and_by_its_own_measure():
    check_arithmetic("cpu", "bf16", batch_size=SMALL)
    errors = dict(arithmetic_errors("cpu", "bf16", batch_size=SMALL))
    assert len(errors) == 31
    assert min(errors.values()) > LARGEST_ERROR["float32"]


@pytest.mark.parametrize(("bits", "is_refused"), [(10, True), (23, False)])
def test_what_rounds_like_tf32_is_refused_in_one_line(monkeypatch, bits, is_refused):
    monkeypatch.setattr(Coarse, "bits", bits)
    monkeypatch.setattr(
        arithmetic, "_trials", lambda: iter([arithmetic.Trial("a coarse one", Coarse(16, 8, 1, bias=False), 16, 8)])
    )
    if not is_refused:
        return check_arithmetic("cpu", batch_size=SMALL)
    with pytest.raises(
        ConfigError, match=r"^On cpu the (result|gradient of weight) of a coarse one is off by \d.*e-04"
    ):
        check_arithmetic("cpu", batch_size=SMALL)
    return None


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_not_finite_is_refused_wherever_it_stands(monkeypatch, place):
    class Broken(nn.Identity):
        def forward(self, x):
            return x * torch.nan if x.dtype is torch.float32 else x * 1.0

    trials = [arithmetic.Trial(f"a sound one ({i})", nn.Conv2d(3, 3, 1, bias=False), 3, 4) for i in range(2)]
    trials.insert(place, arithmetic.Trial("a broken one", Broken(), 3, 4))
    monkeypatch.setattr(arithmetic, "_trials", lambda: iter(trials))
    with pytest.raises(ConfigError, match="of a broken one is off by nan"):
        check_arithmetic("cpu", batch_size=SMALL)


def test_random_numbers_afterwards_are_as_before():
    torch.manual_seed(5)
    expected = torch.randn(2)
    torch.manual_seed(5)
    list(arithmetic_errors("cpu", batch_size=2))
    assert torch.equal(torch.randn(2), expected)


@pytest.mark.usefixtures("gpu")
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_gpu_computes_as_a_recipe_asks(precision):
    make_deterministic()
    check_arithmetic("cuda", precision, batch_size=SMALL)


@pytest.mark.cuda
def test_a_step_of_a_full_network_on_a_gpu_is_that_of_double_precision():
    """Losses of two mini-batches: the first of the weights as drawn, the second after one step."""
    make_deterministic()
    random = torch.Generator().manual_seed(0)
    images = [torch.randn(256, 3, 32, 32, generator=random) for _ in range(2)]
    labels = torch.randint(10, (256,), generator=random)
    losses = {}
    for device, dtype in (("cpu", torch.float64), ("cpu", torch.float32), ("cuda", torch.float32)):
        torch.manual_seed(0)
        network = SPACES["nasbench201"].build(STEEP, num_classes=10, stem_channels=16, cells_per_stage=5)
        network = network.to(device, dtype).to(memory_format=memory_format(device))
        optimizer = RECIPES["nasbench201"].build_optimizer(network.parameters())
        losses[device, dtype] = []
        for batch in images:
            optimizer.zero_grad()
            loss = cross_entropy(network(batch.to(device, dtype)), labels.to(device))
            loss.backward()
            optimizer.step()
            losses[device, dtype].append(loss.item())
    expected, by_cpu, by_gpu = losses.values()
    assert by_gpu[0] == pytest.approx(expected[0], abs=1e-5)
    assert abs(by_gpu[1] - expected[1]) <= max(10 * abs(by_cpu[1] - expected[1]), 5e-3)
