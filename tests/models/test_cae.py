import copy

import pytest
import torch
from oracle_models import UNITS, ConvCAE, as_conv_names, dense_input, ragged_values
from torch import nn

from nap2.models.cae import CAE, Encoder
from nap2.models.gemm_convolution import GemmConv2d, GemmConvTranspose2d
from nap2.models.zero_skip import compact_dense, compact_linear, compact_ragged


@pytest.fixture(scope="module")
def pair() -> tuple[CAE, ConvCAE]:
    torch.manual_seed(0)
    ours, plain = CAE(torch.float64), ConvCAE().double()
    plain.load_state_dict(as_conv_names(ours.state_dict()))
    return ours, plain


@pytest.fixture(scope="module")
def maps() -> torch.Tensor:
    return torch.cat(
        [dense_input(ragged_values(units, 1, seed), units) for seed, units in enumerate(UNITS[:3])]
    ).double()


def num_parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_the_parameter_counts_are_those_of_the_paper(pair: tuple[CAE, ConvCAE]) -> None:
    assert num_parameters(pair[0].encoder) == 9_169_536
    assert num_parameters(pair[0].decoder) == 9_169_164


def test_an_embedding_may_have_another_size() -> None:
    net = CAE(size=7).eval()
    maps = torch.zeros(2, 12, 65, 100)
    with torch.no_grad():
        assert net.encode(maps).shape == (2, net.encoder.size) == (2, 7)
        assert net(maps).shape == maps.shape


def test_a_training_step_equals_that_of_convolutions(pair: tuple[CAE, ConvCAE], maps: torch.Tensor) -> None:
    ours, plain = (copy.deepcopy(net).train() for net in pair)
    for net in (ours, plain):
        (net(maps) - maps).square().sum().backward()
    expected = dict(zip([n for n, _ in ours.named_parameters()], plain.parameters(), strict=True))
    for name, parameter in ours.named_parameters():
        wanted = expected[name].grad
        got = parameter.grad.permute(0, 3, 1, 2) if parameter.dim() == 4 else parameter.grad
        torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-9 * float(wanted.abs().max()) + 1e-8)
    for (name, got), wanted in zip(ours.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12, msg=name)


@pytest.mark.usefixtures("gpu")
def test_a_training_step_on_a_gpu_is_the_same_and_normalises_no_channels_last_maps(
    pair: tuple[CAE, ConvCAE], maps: torch.Tensor
) -> None:
    shown, gradients = [], []
    for device in ("cpu", "cuda"):
        net, read = copy.deepcopy(pair[0]).train().to(device), maps.to(device)
        for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.register_forward_pre_hook(lambda _, images: shown.append(images[0]))
        (net(read) - read).square().sum().backward()
        gradients.append([parameter.grad.cpu() for parameter in net.parameters()])
    for wanted, got in zip(*gradients, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-9)  # a bias before a normalisation has none
    there = shown[-5:]
    assert all(image.is_cuda and image.stride(3) < image.shape[1] for image in there)  # torch's rule if it is ambiguous


def test_evaluation_equals_that_of_convolutions(pair: tuple[CAE, ConvCAE], maps: torch.Tensor) -> None:
    ours, plain = (copy.deepcopy(net).train() for net in pair)
    for net in (ours, plain):  # running statistics that differ from the initial ones
        net(3 * maps)
        net.eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(maps), plain(maps), rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(ours.encode(maps), plain.encoder(maps).flatten(1), rtol=1e-9, atol=1e-10)
        by_gradient_path = ours.encoder(maps)
    torch.testing.assert_close(ours.encoder(maps).detach(), by_gradient_path, rtol=1e-10, atol=1e-11)


@pytest.mark.slow
def test_float32_agrees_with_convolutions_within_rounding(pair: tuple[CAE, ConvCAE], maps: torch.Tensor) -> None:
    ours, plain = (copy.deepcopy(net).float().eval() for net in pair)
    with torch.no_grad():
        torch.testing.assert_close(ours(maps.float()), plain(maps.float()), rtol=1e-4, atol=1e-5)


def test_an_input_that_needs_a_gradient_gets_that_of_convolutions(
    pair: tuple[CAE, ConvCAE], maps: torch.Tensor
) -> None:
    gradients = []
    for net in (pair[0].encoder.eval(), pair[1].encoder.eval()):
        x = maps[:1].clone().requires_grad_()
        gradients.append(torch.autograd.grad(net(x).square().sum(), x)[0])
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_memory_order_and_batch_size_do_not_matter(pair: tuple[CAE, ConvCAE], maps: torch.Tensor) -> None:
    net = pair[0].encoder.eval()
    with torch.no_grad():
        together = net(maps)
        torch.testing.assert_close(net(maps.contiguous()), together, rtol=0, atol=0)
        torch.testing.assert_close(torch.cat([net(x[None]) for x in maps]), together, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(net(maps.flip(0)).flip(0), together, rtol=1e-10, atol=1e-12)


def test_ragged_maps_encode_as_dense_ones(pair: tuple[CAE, ConvCAE]) -> None:
    net = pair[0].encoder.eval()
    ragged = [(ragged_values(units, n, n).double(), units) for n, units in enumerate(UNITS, 1)]
    dense = torch.cat([dense_input(values, units) for values, units in ragged])
    with torch.no_grad():
        torch.testing.assert_close(net.encode_rows(compact_ragged(ragged)), net(dense), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("units", UNITS)
def test_leaving_zeros_out_changes_nothing(units: tuple[int, ...]) -> None:
    values = ragged_values(units, 2).double()
    rows = dense_input(values, units).permute(0, 2, 3, 1).reshape(-1, 1200)
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(7, 1200, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(7, generator=generator, dtype=torch.float64, requires_grad=True)
    expected = nn.functional.linear(rows, weight, bias)
    wanted = torch.autograd.grad(expected.square().sum(), (weight, bias))
    for compact in (compact_dense(rows), compact_ragged([(values, units)])):
        got = compact_linear(compact, weight, bias)
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-11)
        gradients = torch.autograd.grad(got.square().sum(), (weight, bias))
        torch.testing.assert_close(gradients, wanted, rtol=1e-9, atol=1e-8)


def test_zeros_are_found_by_value_alone() -> None:
    rows = torch.zeros(65, 1200)
    assert compact_dense(rows).groups == ()
    rows[3, 1199] = 1e-38  # the last place of the quantile channel
    rows[4, 0] = torch.nan
    sizes = {g.rows.tolist()[0]: len(g.places) for g in compact_dense(rows).groups}
    assert sizes == {3: 11 * 33 + 100, 4: 11 * 17 + 85}  # a layer of 32 units fills the whole quantile channel
    rows[3, 99 * 12] = 1.0
    assert {g.rows.tolist()[0]: len(g.places) for g in compact_dense(rows).groups} == {3: 1200, 4: 11 * 17 + 85}


def test_fewer_zeros_than_expected_are_not_dropped() -> None:
    """Values where a padded map has none: the row counts as wider, nothing is lost."""
    rows = torch.zeros(65, 1200)
    rows[0, 17 * 12] = 1.0  # one place beyond those of 16 units
    torch.testing.assert_close(
        compact_linear(compact_dense(rows), torch.ones(1, 1200), torch.zeros(1)), rows.sum(1, True)
    )


@pytest.mark.parametrize(
    ("ours", "plain"),
    [
        (lambda: GemmConv2d(3, 5, (4, 2)), lambda: nn.Conv2d(3, 5, (4, 2))),
        (lambda: GemmConvTranspose2d(3, 5, (4, 2)), lambda: nn.ConvTranspose2d(3, 5, (4, 2))),
    ],
)
def test_a_convolution_has_the_state_dict_and_the_initial_values_of_torchs(ours, plain) -> None:
    states = []
    for build in (ours, plain):
        torch.manual_seed(0)
        states.append(build().state_dict())
    assert states[0].keys() == states[1].keys()
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def test_a_state_dict_survives_a_round_trip_and_stays_as_it_is() -> None:
    source, target = GemmConv2d(3, 5, (4, 2)), GemmConv2d(3, 5, (4, 2))
    state = source.state_dict()
    shapes = {name: tensor.shape for name, tensor in state.items()}
    target.load_state_dict(state)
    assert {name: tensor.shape for name, tensor in state.items()} == shapes
    torch.testing.assert_close(target.state_dict(), state, rtol=0, atol=0)
    assert target.weight.is_contiguous()
    with pytest.raises(RuntimeError, match="size mismatch"):
        GemmConv2d(3, 5, (2, 4)).load_state_dict(state)


def test_parameters_are_contiguous_as_fused_adam_needs_them() -> None:
    assert all(parameter.is_contiguous() for parameter in Encoder().parameters())
