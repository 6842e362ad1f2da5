"""Which layers and units are observed is fixed: by type, order and a pinned sample."""

import hashlib

import pytest
import torch
from torch import nn

from nap2.errors import NetworkError
from nap2.snapshots.layers import gradient_rows, num_layers, recorded_layers, sampled_rows, sampled_units, unread_share

PINNED = {  # units: (first, last, sum, digest of the list)
    100: ([0, 1, 2, 3], [97, 98, 99], 4922, "8ea1c46dc2f28153"),
    120: ([0, 1, 2, 3], [117, 118, 119], 5840, "05290af3479bb885"),
    128: ([0, 1, 2, 4], [125, 126, 127], 6596, "81e8f0d453b821b3"),
    256: ([1, 2, 4, 6], [249, 250, 251], 12526, "09747033e8d1f357"),
    512: ([1, 2, 6, 7], [504, 505, 509], 26800, "632e93b3b989f46d"),
}


@pytest.mark.parametrize("units", PINNED)
def test_sampled_units_are_pinned(units):
    index = sampled_units(units).tolist()
    first, last, total, digest = PINNED[units]
    assert (index[:4], index[-3:], sum(index)) == (first, last, total)
    assert hashlib.sha256(repr(index).encode()).hexdigest()[:16] == digest
    assert len(set(index)) == 99
    assert index == sorted(index)


def test_sampling_follows_its_definition_and_leaves_the_random_state():
    before = torch.get_rng_state()
    expected = torch.randperm(300, generator=torch.Generator().manual_seed(42))[:99].sort().values
    assert torch.equal(sampled_units(300), expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("units", [1, 16, 99])
def test_up_to_99_units_are_all_kept(units):
    assert sampled_units(units) is None


def test_layers_are_convolutions_and_linears_in_module_order():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 3)
            self.block = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
            self.line, self.cube = nn.Conv1d(2, 5, 3), nn.Conv3d(1, 6, 2)
            self.up, self.words, self.norm = nn.ConvTranspose2d(2, 2, 2), nn.Embedding(4, 4), nn.LayerNorm(4)

    found = recorded_layers(Net())
    assert [(layer.name, layer.units) for layer in found] == [("head", 3), ("block.0", 8), ("line", 5), ("cube", 6)]


def test_only_the_first_65_layers_are_kept_and_all_are_counted():
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(70)])
    assert [layer.name for layer in recorded_layers(model)] == [str(index) for index in range(65)]
    assert num_layers(model) == 70


def test_a_layer_used_twice_counts_once_and_a_tied_weight_counts_per_layer():
    layer, tied = nn.Linear(3, 3), nn.Linear(3, 3)
    tied.weight = layer.weight
    assert [found.name for found in recorded_layers(nn.Sequential(layer, nn.ReLU(), layer, tied))] == ["0", "3"]


def test_a_network_without_layers_is_refused():
    with pytest.raises(NetworkError, match=r"Sequential has no layer to record; .*Conv2d.*Linear"):
        recorded_layers(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("compiled", [torch.jit.script, lambda net: torch.jit.trace(net, torch.zeros(1, 3))])
def test_a_network_compiled_by_torch_jit_is_told_so(compiled):
    with pytest.raises(NetworkError, match=r"is compiled by torch\.jit, .*; record the network that was scripted or"):
        recorded_layers(compiled(nn.Sequential(nn.Linear(3, 2))))


def test_a_lazy_network_is_refused_until_it_has_weights():
    model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(NetworkError, match=r"Layer '0' has no weight yet; run one batch"):
        recorded_layers(model)
    model(torch.zeros(1, 2))
    assert recorded_layers(model)[0].units == 3


def test_a_computed_weight_is_refused():
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)))
    with pytest.raises(NetworkError, match="computed from other parameters"):
        recorded_layers(model)


def test_a_refused_weight_is_not_computed_first():
    model = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 5)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(NetworkError, match="computed from other parameters"):
        recorded_layers(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_layer_whose_weight_is_gone_or_spread_over_processes_is_refused():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight.placements = ("shard",)  # as a DTensor has them
    with pytest.raises(NetworkError, match=r"layer '1' is spread over several processes \(FSDP\)"):
        recorded_layers(model)
    del model[1].weight
    with pytest.raises(NetworkError, match="Layer '1' has no weight"):
        recorded_layers(model)


def test_weights_that_hold_no_floats_are_refused():
    with pytest.raises(NetworkError, match="meta device"):
        recorded_layers(nn.Linear(2, 2, device="meta"))
    complex_layer = nn.Linear(2, 2, dtype=torch.complex64)
    with pytest.raises(NetworkError, match="complex64"):
        recorded_layers(complex_layer)


def test_rows_are_the_units_flattened():
    weight = torch.arange(2 * 3 * 2 * 2.0).view(2, 3, 2, 2)
    assert torch.equal(sampled_rows(weight), weight.flatten(1))


def test_rows_of_a_channels_last_weight_hold_the_same_values_without_a_copy():
    weight = torch.randn(5, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    rows = sampled_rows(weight)
    assert rows.data_ptr() == weight.data_ptr()
    assert torch.equal(rows.sort().values, weight.flatten(1).sort().values)


def test_rows_of_many_units_are_the_sampled_ones():
    weight = torch.randn(120, 7)
    assert torch.equal(sampled_rows(weight), weight[sampled_units(120)])


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_rows_of_an_empty_weight_are_empty(shape):
    assert sampled_rows(torch.zeros(shape)).shape == shape


def test_a_missing_gradient_is_all_zero_and_a_scaled_one_is_unscaled():
    (layer,) = recorded_layers(nn.Linear(4, 2))
    assert torch.equal(gradient_rows(layer), torch.zeros(2, 4))
    layer.weight.grad = torch.ones(2, 4)
    assert torch.equal(gradient_rows(layer), torch.ones(2, 4))
    assert torch.equal(gradient_rows(layer, grad_scale=4.0), torch.full((2, 4), 0.25))


def test_a_sparse_gradient_counts_as_the_dense_one_that_it_is():
    words, head = nn.Embedding(6, 4, sparse=True), nn.Linear(4, 6)
    head.weight = words.weight
    words(torch.tensor([1, 3, 3])).sum().backward()
    (layer,) = recorded_layers(head)
    assert layer.weight.grad.is_sparse
    assert torch.equal(gradient_rows(layer), layer.weight.grad.to_dense())


def test_scaled_half_precision_gradients_do_not_underflow():
    (layer,) = recorded_layers(nn.Linear(4, 2).half())
    layer.weight.grad = torch.full((2, 4), 1e-3, dtype=torch.float16)
    assert gradient_rows(layer, grad_scale=2.0**16).min() > 1e-8


@pytest.mark.parametrize(
    ("model", "share"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 10)), 0.0),
        (nn.Sequential(nn.Linear(4, 5), nn.ConvTranspose2d(2, 5, 2)), 40 / 60),
        (nn.TransformerEncoderLayer(8, 2, 32), 3 * 64 / (4 * 64 + 2 * 8 * 32)),
        (nn.Sequential(nn.LSTM(4, 8), nn.Linear(8, 2)), (32 * 4 + 32 * 8) / (32 * 4 + 32 * 8 + 16)),
        (nn.ReLU(), 0.0),
    ],
)
def test_the_share_of_weights_that_are_not_read(model, share):
    assert unread_share(model) == pytest.approx(share)
