import numpy as np
import pytest
from scipy import stats

from nap2.baselines import lcsvr
from nap2.baselines.lcsvr import LcSVR, curve_numbers


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lcsvr, "NUM_DRAWS", 20)


def curves(num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Curves `[num, 5]` that rise towards their final accuracies, and these."""
    rng = np.random.default_rng(seed)
    final = rng.uniform(0.5, 0.95, num)
    rising = 1 - np.exp(-0.5 * np.arange(1, 6))
    return final[:, None] * rising + rng.normal(0, 0.01, (num, 5)), final


def test_a_curve_is_summarised_by_its_values_and_their_differences_in_per_cent():
    curve = np.array([[0.1, 0.3, 0.4, 0.6]])
    values, first, second = [10, 30, 40, 60], [20, 10, 20], [-10, 10]
    expected = [number for part in (values, first, second) for number in (np.mean(part), np.std(part))]
    assert curve_numbers(curve)[0] == pytest.approx(expected)
    assert curve_numbers(curve[:, :1])[0] == pytest.approx([10, 0])
    assert curve_numbers(curve[:, :2])[0] == pytest.approx([20, 10, 20, 0])


def test_it_learns_where_curves_end():
    seen, final = curves(60)
    asked, truth = curves(40, seed=1)
    predicted = LcSVR().fit(seen, final).predict(asked)
    assert stats.kendalltau(predicted, truth).statistic > 0.8
    assert np.abs(predicted - truth).mean() < 0.03


def test_it_is_a_function_of_its_seed_and_of_what_it_learned():
    seen, final = curves(30)
    first, again, other = (LcSVR(seed).fit(seen, final).predict(seen) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_hyperparameters_are_chosen_on_the_first_candidates_and_all_are_learned_from(monkeypatch):
    seen, final = curves(40)
    final[20:] = final[20:][::-1]  # labels that belong to other curves
    asked = curves(10, seed=1)[0]
    whole = LcSVR().fit(seen, final)
    monkeypatch.setattr(lcsvr, "MOST_TO_CHOOSE", 20)
    few, all_of_them = LcSVR().fit(seen[:20], final[:20]), LcSVR().fit(seen, final)
    assert few._svr.get_params() == all_of_them._svr.get_params() != whole._svr.get_params()
    assert not np.array_equal(few.predict(asked), all_of_them.predict(asked))


def test_a_curve_with_a_gap_is_not_learned_from_and_has_no_prediction():
    seen, final = curves(30)
    torn = np.concatenate([seen, np.full((1, 5), np.nan)])
    predicted = LcSVR().fit(torn, np.append(final, 0.1)).predict(torn)
    assert np.array_equal(predicted[:-1], LcSVR().fit(seen, final).predict(seen))
    assert np.isnan(predicted[-1])


def test_too_few_labels_to_choose_from_leave_no_prediction():
    seen, final = curves(5)
    assert np.isnan(LcSVR().fit(seen[:2], final[:2]).predict(seen)).all()
    assert np.isfinite(LcSVR().fit(seen[:3], final[:3]).predict(seen)).all()
