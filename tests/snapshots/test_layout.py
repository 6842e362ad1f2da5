"""The ragged layout holds every place of the dense map that is not padding, once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nap2.schema import MAP_SHAPE
from nap2.snapshots.layout import dense_index, num_entries, num_quantile_places, num_scalar_places

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


def test_nasbench201_rows_are_at_most_35_per_cent_full_on_average():
    mean_network = [16] * 15 + [32] * 15 + [64] * 14  # 44 layers, as on average over the space
    assert num_entries(mean_network) / (65 * 100 * 12) < 0.35


def test_thousands_of_shapes_do_not_stay_in_memory():
    held = dense_index.cache_parameters()["maxsize"]
    largest = dense_index((100,) * 65)
    assert held * largest.numel() * largest.element_size() < 64e6
