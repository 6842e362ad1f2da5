"""Padded maps hold each value at its place and zeros elsewhere, raw or log-normalised, batched or not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nap2.errors import FeatureMapError
from nap2.feature_maps import dense_maps, encoder_input, log_normalise
from nap2.snapshots.layout import dense_index, num_entries

UNITS = (4, 120, 19, 64)


def some_values(*shape):
    return torch.randn(*shape, num_entries(UNITS), generator=torch.Generator().manual_seed(0)) * 100


def slow_map(values, units):
    """One entry after another, as the layout is described."""
    dense, source = torch.zeros(65, 100, 12), iter(values.tolist())
    for layer, layer_units in enumerate(units):
        for statistic in range(11):
            for place in range(1 + min(layer_units, 99)):
                dense[layer, place, statistic] = next(source)
        for place in range(5 * (1 + min(layer_units, 19))):
            dense[layer, place, 11] = next(source)
    assert next(source, None) is None
    return dense


def test_a_map_is_filled_as_the_layout_says():
    values = some_values()
    assert torch.equal(dense_maps(values, UNITS), slow_map(values, UNITS))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 150), min_size=1, max_size=65))
def test_a_map_gives_its_values_back(units):
    values = torch.randn(num_entries(units))
    dense = dense_maps(values, units)
    assert torch.equal(dense.flatten()[dense_index(tuple(units))], values)
    assert dense.count_nonzero() == values.count_nonzero()


def test_leading_axes_are_kept():
    values = some_values(3, 2)
    maps = dense_maps(values, UNITS)
    assert maps.shape == (3, 2, 65, 100, 12)
    assert torch.equal(maps[2, 1], dense_maps(values[2, 1], UNITS))


def test_encoder_input_is_the_log_normalised_map_with_channels_first():
    values = some_values(5)
    expected = log_normalise(dense_maps(values, UNITS)).permute(0, 3, 1, 2)
    found = encoder_input(values, torch.tensor(UNITS))
    assert found.is_contiguous()
    assert torch.equal(found, expected)


def test_log_normalisation_is_odd_and_keeps_small_values():
    x = torch.tensor([0.0, 1.0, -1.0, 1e-30, 1e38, -9.0], dtype=torch.float64)
    expected = x.sign() * torch.log1p(x.abs())
    assert torch.equal(log_normalise(x), expected)
    assert torch.equal(log_normalise(-x), -expected)
    assert torch.isfinite(log_normalise(x.float())).all()


def test_log_normalisation_leaves_its_input_alone():
    x = torch.tensor([-3.0, 4.0])
    log_normalise(x)
    assert x.tolist() == [-3.0, 4.0]


def test_values_of_another_network_are_refused():
    with pytest.raises(FeatureMapError, match=r"4 layers of these units fill \d+ places, but 7 values"):
        encoder_input(torch.zeros(2, 7), UNITS)
    with pytest.raises(FeatureMapError, match="fill"):
        dense_maps(torch.zeros(7), UNITS)


def test_more_than_65_layers_are_refused():
    units = [1] * 66
    with pytest.raises(FeatureMapError, match="holds 65 layers, not 66"):
        dense_maps(torch.zeros(num_entries(units)), units)
