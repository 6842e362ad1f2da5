"""The ragged layout holds every place of the dense map that is not padding, once."""

from math import comb

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nap2.schema import MAP_SHAPE
from nap2.snapshots.layers import recorded_layers
from nap2.snapshots.layout import dense_index, num_entries, num_quantile_places, num_scalar_places
from nap2.spaces import SPACES

UNITS = (3, 120, 1, 19, 20, 99, 100)


@pytest.mark.parametrize(("units", "scalar", "quantile"), [(1, 2, 10), (16, 17, 85), (19, 20, 100), (64, 65, 100)])
def test_places_of_a_layer(units, scalar, quantile):
    assert (num_scalar_places(units), num_quantile_places(units)) == (scalar, quantile)


@pytest.mark.parametrize("units", [99, 100, 5000])
def test_a_full_row_has_100_places(units):
    assert (num_scalar_places(units), num_quantile_places(units)) == (100, 100)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 600), max_size=65))
def test_entries_go_to_distinct_places_of_the_map(units):
    index = dense_index(tuple(units))
    assert len(index) == num_entries(units) == len(index.unique())
    assert all(0 <= place < 65 * 100 * 12 for place in index.aminmax()) if units else len(index) == 0


def test_each_place_is_where_layer_value_and_statistic_say():
    index = dense_index(UNITS)
    layer, value, statistic = index // 1200, index // 12 % 100, index % 12
    expected = torch.zeros(MAP_SHAPE, dtype=torch.bool)
    for row, units in enumerate(UNITS):
        expected[row, : 1 + min(units, 99), :11] = True
        expected[row, : 5 * (1 + min(units, 19)), 11] = True
    found = torch.zeros(MAP_SHAPE, dtype=torch.bool)
    found[layer, value, statistic] = True
    assert torch.equal(found, expected)


def test_the_flat_order_is_layer_then_statistic_then_place():
    index = dense_index((2, 1))
    assert index[:4].tolist() == [0, 12, 24, 1]  # mean of global, unit 1, unit 2; then the median
    assert index[33:36].tolist() == [11, 23, 35]  # the quintuples follow the scalar statistics
    assert index[num_entries([2])].item() == 1200


def test_ragged_storage_is_at_most_35_per_cent_of_dense_on_average_over_the_space():
    """What a map holds depends only on how many of a cell's six edges are convolutions (two of five operations)."""
    share = []
    for n in range(7):
        edges = ["nor_conv_3x3"] * n + ["avg_pool_3x3"] * (6 - n)
        arch_str = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*edges)
        network = SPACES["nasbench201"].build(arch_str, num_classes=10, stem_channels=16, cells_per_stage=5)
        share.append(num_entries([layer.units for layer in recorded_layers(network)]) / (65 * 100 * 12))
    weights = [comb(6, n) * 2**n * 3 ** (6 - n) for n in range(7)]
    assert sum(weights) == 15_625
    assert sum(w * s for w, s in zip(weights, share, strict=True)) / 15_625 <= 0.35


def test_thousands_of_shapes_do_not_stay_in_memory():
    held = dense_index.cache_parameters()["maxsize"]
    largest = dense_index((100,) * 65)
    assert held * largest.numel() * largest.element_size() < 64e6
