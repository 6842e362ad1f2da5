"""Statistics agree with a slow, obvious oracle to 1e-10 before they are rounded to float32, whatever the values."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from oracle_statistics import flat_statistics, statistics_of
from scipy import stats

from nap2.schema import COUNTS, SCALAR_STATISTICS
from nap2.snapshots import sorting
from nap2.snapshots.layout import num_entries
from nap2.snapshots.statistics import layer_statistics, modality_statistics, raw_statistics

FLOAT32_MAX = torch.finfo(torch.float32).max


def assert_agrees(rows):
    """Within 1e-10, of the value or of what the values could have amounted to."""
    entries, _ = raw_statistics([rows])
    expected, scale = flat_statistics(rows.double().numpy())
    bound = 1e-10 * np.maximum(np.abs(expected), scale)
    error = np.abs(entries.numpy() - expected)
    with np.errstate(invalid="ignore"):
        wrong = ~((error <= bound) | (entries.numpy() == expected))
    assert not wrong.any(), f"{error[wrong]} beyond {bound[wrong]} at {np.flatnonzero(wrong)}"


def normal(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def heavy_tailed(*shape):
    return torch.from_numpy(np.random.default_rng(0).standard_t(2.1, shape)).float()


def partly_non_finite(*shape):
    values = normal(*shape)
    values[0, 0], values[1, 1:3], values[2, :] = torch.nan, torch.inf, -torch.inf
    values[3, 2:] = torch.nan
    return values


def mixed_scales(*shape):
    return normal(*shape) * torch.logspace(-18, 18, shape[0])[:, None]


CASES = {
    "normal": normal(16, 144),
    "99 units": normal(99, 40),
    "one unit": normal(1, 27),
    "one value each": normal(12, 1),
    "heavy tails": heavy_tailed(32, 288),
    "constant": torch.full((5, 9), 0.1),
    "constant units": torch.linspace(-1, 1, 7)[:, None].expand(7, 20),
    "zeros": torch.zeros(4, 9),
    "tiny": normal(16, 144) * 1e-30,
    "denormal": normal(16, 144) * 1e-42,
    "huge": normal(16, 144) * 1e37,
    "an offset": 1 + 1e-6 * normal(16, 144),
    "almost constant": torch.cat([torch.full((3, 8), 0.1), torch.full((3, 1), 0.1).nextafter(torch.ones(1))], dim=1),
    "mixed scales": mixed_scales(37, 50),
    "partly non-finite": partly_non_finite(8, 30),
    "nothing finite": torch.full((3, 4), torch.nan),
}


@pytest.mark.parametrize("name", CASES)
def test_float32_statistics_agree_with_the_oracle(name):
    assert_agrees(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_float64_statistics_agree_with_the_oracle(name):
    assert_agrees(CASES[name].double() * 1.1)


@pytest.mark.parametrize("scale", [1e-200, 1e-60, 1e60, 1e150])
def test_float64_beyond_the_range_of_float32_agrees_with_the_oracle(scale):
    assert_agrees(normal(9, 33, dtype=torch.float64) * scale)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_exactly(dtype):
    values = normal(16, 90, dtype=dtype)
    assert_agrees(values)
    torch.testing.assert_close(layer_statistics([values]), layer_statistics([values.float()]), rtol=0, atol=0)


def test_the_oracle_agrees_with_scipy():
    x = normal(4096, dtype=torch.float64).numpy()
    found = dict(zip(SCALAR_STATISTICS, statistics_of(x), strict=False))
    expected = {
        "mean": np.nanmean(x),
        "variance": np.nanvar(x),
        "skewness": stats.skew(x),
        "kurtosis": stats.kurtosis(x),
        "covariance": float(np.cov(x)),
        "l1_norm": np.linalg.norm(x, 1),
        "l2_norm": np.linalg.norm(x),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-11, abs=1e-13)


finite_or_not = st.floats(width=32, allow_nan=True, allow_infinity=True)
plain = st.floats(-4, 4, width=32)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 25), st.integers(1, 12)),
        elements=st.one_of(finite_or_not, plain, st.sampled_from([0.0, 1.0])),
    )
)
def test_any_values_agree_with_the_oracle(values):
    assert_agrees(torch.from_numpy(values))


@settings(max_examples=30, deadline=None)
@given(
    shapes=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 20)), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
)
def test_layers_do_not_depend_on_their_company(shapes, seed):
    layers = [normal(*shape, seed=seed + index) for index, shape in enumerate(shapes)]
    together, counts = layer_statistics(layers)
    alone = [layer_statistics([layer]) for layer in layers]
    torch.testing.assert_close(together, torch.cat([values for values, _ in alone]), rtol=1e-6, atol=0)
    assert torch.equal(counts, sum(layer_counts for _, layer_counts in alone))
    assert len(together) == num_entries([units for units, _ in shapes])


def test_modalities_are_the_statistics_of_each():
    weights, gradients = [normal(4, 9), normal(120, 5)[:99]], [normal(4, 9, seed=1), torch.zeros(99, 5)]
    values, counts = modality_statistics([weights, gradients])
    for index, rows in enumerate((weights, gradients)):
        expected_values, expected_counts = layer_statistics(rows)
        torch.testing.assert_close(values[index], expected_values, rtol=1e-6, atol=0)
        assert torch.equal(counts[index], expected_counts)


def test_the_order_of_values_within_a_unit_does_not_matter():
    values = normal(20, 300)
    shuffled = values[:, torch.randperm(300, generator=torch.Generator().manual_seed(1))]
    assert torch.equal(layer_statistics([values])[0], layer_statistics([shuffled])[0])


@pytest.mark.parametrize("name", CASES)
def test_sorting_with_numpy_and_with_torch_is_the_same(name, monkeypatch):
    fast = modality_statistics([[CASES[name], normal(3, 7)]])
    monkeypatch.setattr(sorting, "_numpy", None)
    slow = modality_statistics([[CASES[name], normal(3, 7)]])
    assert torch.equal(fast[0], slow[0])
    assert torch.equal(fast[1], slow[1])


def test_the_input_is_left_as_it_was():
    for values in (normal(8, 20), normal(8, 20, dtype=torch.float64), normal(1, 20), partly_non_finite(8, 20)):
        before = values.clone()
        layer_statistics([values])
        torch.testing.assert_close(values, before, rtol=0, atol=0, equal_nan=True)


def test_a_constant_layer_has_no_shape_and_no_spread():
    flat, counts = layer_statistics([torch.full((3, 7), 0.1)])
    by_name = dict(zip(SCALAR_STATISTICS, flat[: 11 * 4].view(11, 4), strict=True))
    for name in ("variance", "std", "skewness", "kurtosis", "covariance"):
        assert torch.equal(by_name[name], torch.zeros(4)), name
    assert counts.tolist() == [0, 4, 0, 0, 0]


def test_a_single_value_has_covariance_zero():
    flat, counts = layer_statistics([torch.tensor([[2.0]])])
    expected = [2, 2, 0, 0, 2, 2, 0, 0, 0, 2, 2]
    assert flat[:22].view(11, 2).tolist() == [[value, value] for value in expected]
    assert flat[22:].tolist() == [2.0] * 10
    assert counts.tolist() == [0, 0, 2, 0, 0]


@pytest.mark.parametrize("shape", [(3, 0), (0, 4), (0, 0)])
def test_an_empty_layer_gives_zeros_of_the_right_length(shape):
    flat, counts = layer_statistics([torch.zeros(shape), normal(2, 3)])
    assert len(flat) == num_entries([shape[0], 2])
    assert flat[: num_entries([shape[0]])].abs().max() == 0
    assert counts.tolist() == [0, 0, 0, 1 + shape[0], 0]


def test_a_layer_without_a_finite_value_gives_zeros():
    flat, counts = layer_statistics([torch.full((2, 3), -torch.inf)])
    assert flat.abs().max() == 0
    assert counts.tolist() == [6, 0, 0, 3, 0]


def test_values_that_are_not_finite_are_left_out_and_counted():
    dirty = torch.tensor([[1.0, torch.nan, 2.0, 4.0, -torch.inf], [3.0, 5.0, torch.inf, 9.0, torch.nan]])
    clean = torch.tensor([[1.0, 2.0, 4.0], [3.0, 5.0, 9.0]])
    torch.testing.assert_close(layer_statistics([dirty])[0], layer_statistics([clean])[0], rtol=1e-6, atol=0)
    assert dict(zip(COUNTS, layer_statistics([dirty])[1].tolist(), strict=True))["non_finite_values"] == 4


def test_what_float32_cannot_hold_saturates_and_is_counted():
    flat, counts = layer_statistics([torch.tensor([[1e30, -1e30, 3e30]])])
    by_name = dict(zip(SCALAR_STATISTICS, flat[: 11 * 2].view(11, 2)[:, 1].tolist(), strict=True))
    assert by_name["variance"] == by_name["covariance"] == pytest.approx(FLOAT32_MAX)
    assert by_name["std"] == pytest.approx(np.std([1e30, -1e30, 3e30]))
    assert torch.isfinite(flat).all()
    assert counts.tolist() == [0, 0, 0, 0, 4]


def test_skewness_and_kurtosis_survive_gradients_of_rms_1e_minus_30():
    ordinary, tiny = (layer_statistics([normal(16, 144, dtype=torch.float64) * s])[0] for s in (1.0, 1e-30))
    shape = slice(6 * 17, 8 * 17)
    torch.testing.assert_close(ordinary[shape], tiny[shape])


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("name", CASES)
def test_a_gpu_gives_the_same_statistics(name):
    rows = CASES[name]
    values, counts = layer_statistics([rows.cuda()])
    expected_values, expected_counts = layer_statistics([rows])
    assert values.is_cuda
    torch.testing.assert_close(values.cpu(), expected_values, rtol=1e-5, atol=1e-30)
    assert torch.equal(counts.cpu(), expected_counts)
