import re
from dataclasses import replace

import numpy as np
import pytest

from nap2.errors import EvaluationError
from nap2.evaluation.judging.exam import Exam, Predictions
from nap2.evaluation.judging.metrics import TAU
from nap2.evaluation.plots.budget_plot import _ticks, budget_plot
from nap2.evaluation.plots.cost_plot import _front, cost_plot
from nap2.evaluation.plots.labels_plot import _learners, _unlearned, has_several_sizes, labels_plot
from nap2.evaluation.plots.line_names import spread
from nap2.evaluation.records.aggregate import aggregate
from nap2.evaluation.records.protocols import result_rows

TRUTH = np.random.default_rng(0).beta(5, 2, 30)
EXAM = Exam(space="space", target="data", truth=TRUTH)


def aggregates(name, noise, budgets, seconds=None, train_size=0, source=""):
    values = TRUTH + noise * np.random.default_rng(3).normal(size=(2, len(budgets), 30))
    given = Predictions(method=name, values=values, query_batches=budgets, seeds=(0, 1), query_time_s=seconds or ())
    return aggregate(result_rows(replace(given, train_size=train_size, source=source), EXAM, [TAU], rounds=20))


def test_a_budget_plot_is_a_picture_that_does_not_change_from_run_to_run(tmp_path):
    found = [*aggregates("nap2", 0.1, (100, 200, 300)), *aggregates("params", 0.3, (0,))]
    first = budget_plot(found, tmp_path / "deep" / "a.png", another_seed=0.95, title="t").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert budget_plot(found, tmp_path / "b.png", another_seed=0.95, title="t").read_bytes() == first
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["a.png"]


@pytest.mark.parametrize("budgets", [(0,), (100,), tuple(range(100, 2400, 100))])
def test_any_number_of_budgets_can_be_drawn(tmp_path, budgets):
    assert budget_plot(aggregates("nap2", 0.2, budgets), tmp_path / "a.pdf").stat().st_size > 1000


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("budgets", [(100,), (100, 200)])
def test_fifty_methods_leave_room_for_the_picture(tmp_path, budgets):
    found = [*aggregates("nap2", 0.1, budgets)]
    for place in range(49):
        found += aggregates(f"a_proxy_with_a_long_name_{place}", 0.1 + place / 20, (0,))
    drawn = budget_plot(found, tmp_path / "a.svg", another_seed=0.95, title="t").read_text()
    assert all(f"<!-- {one.row.method} -->" in drawn for one in found)
    width, height = (float(drawn.partition(f'{side}="')[2].partition("pt")[0]) for side in ("width", "height"))
    assert height > 0.75 * width, "as flat as a picture of three methods"


def test_where_nothing_is_drawn_over_budgets_the_best_method_stands_on_top(tmp_path):
    found = [
        a for name, noise in (("worse", 0.9), ("better", 0.05), ("nap2", 0.3)) for a in aggregates(name, noise, (0,))
    ]
    drawn = budget_plot(found, tmp_path / "a.svg").read_text()
    heights = {
        name: float(re.search(rf"<!-- {name} -->\s*<g [^>]*translate\([\d.]+ ([\d.]+)\)", drawn)[1])
        for name in ("worse", "better", "nap2")
    }
    assert heights["better"] < heights["nap2"] < heights["worse"]


def by_labels():
    learned = [a for size in (50, 100, 200) for a in aggregates("nap2", 10 / size, (100, 200), train_size=size)]
    once = aggregates("once", 0.1, (0,), train_size=200)
    kinds = {"parameters": (0.5, (0,)), "worse": (0.9, (0,)), "better": (0.2, (0,)), "curve": (0.4, (100, 200))}
    return [*learned, *once, *(a for name, (noise, seen) in kinds.items() for a in aggregates(name, noise, seen))]


def test_a_plot_by_labels_shows_what_learned_from_several_numbers_and_the_best_that_need_none(tmp_path):
    found = by_labels()
    first = labels_plot(found, tmp_path / "a.png", another_seed=0.95, title="t").read_bytes()
    assert first.startswith(b"\x89PNG")
    assert labels_plot(found, tmp_path / "b.png", another_seed=0.95, title="t").read_bytes() == first
    ((method, _), points), *others = _learners(found).items()
    assert (method, [one.row.train_size for one in points], others) == ("nap2", [50, 100, 200], [])
    assert {one.row.query_batches for one in points} == {200}
    assert [one.row.method for one in _unlearned(found)] == ["parameters", "better", "curve"]


def test_several_sources_are_lines_of_their_own_and_leave_the_parts_of_a_method_out(tmp_path):
    sources = ("ours", "theirs")
    names = ("nap2", "plus", "plus: graph alone")
    found = [a for m in names for s in sources for n in (50, 90) for a in aggregates(m, 0.1, (100,), None, n, s)]
    assert list(_learners(found)) == [("nap2", "ours"), ("nap2", "theirs"), ("plus", "ours"), ("plus", "theirs")]
    text = labels_plot(found, tmp_path / "a.svg").read_text()
    assert "<!-- plus (theirs) -->" in text
    assert "graph alone" not in text
    of_one = [one for one in found if one.row.source == "ours"]
    assert len(_learners(of_one)) == 3


def test_a_plot_by_labels_wants_several_numbers_of_them():
    assert has_several_sizes(by_labels())
    assert not has_several_sizes(aggregates("nap2", 0.1, (100,), train_size=50))


def test_a_cost_plot_names_every_point(tmp_path):
    found = [a for i in range(5) for a in aggregates(f"proxy_{i}", 0.1 + i / 5, (0,), (0.01 * (i + 1),))]
    path = cost_plot(found, tmp_path / "a.svg")
    assert "<svg" in path.read_text()


def test_the_front_holds_what_nothing_cheaper_beats():
    costs = {"cheap": (0.5, 1.0), "worse": (0.9, 2.0), "better": (0.05, 3.0), "dear": (0.5, 4.0)}
    found = [a for name, (noise, s) in costs.items() for a in aggregates(name, noise, (0,), (s,))]
    assert _front(found) == {"cheap", "better"}


def test_names_are_moved_apart_and_keep_their_order():
    wanted = [0.5, 0.51, 0.9, 0.5, 0.1]
    shown = spread(wanted, 0.05)
    assert np.diff(sorted(shown)).min() >= 0.05 - 1e-12
    assert np.argsort(shown, kind="stable").tolist() == np.argsort(wanted, kind="stable").tolist()
    assert shown[2] == pytest.approx(0.9)
    assert np.mean([shown[0], shown[1], shown[3]]) == pytest.approx(np.mean([0.5, 0.51, 0.5]))


def test_no_name_stands_above_the_picture():
    wanted = [0.97, 0.98, 0.99, 0.99, 0.2]
    shown = spread(wanted, 0.05, top=1.0)
    assert max(shown) == pytest.approx(1.0)
    assert np.diff(sorted(shown)).min() >= 0.05 - 1e-12
    assert np.argsort(shown, kind="stable").tolist() == np.argsort(wanted, kind="stable").tolist()
    assert shown[4] == 0.2


def test_ticks_are_evenly_spaced_and_end_at_the_last_budget():
    assert _ticks(list(range(100, 2400, 100))) == [200, 500, 800, 1100, 1400, 1700, 2000, 2300]
    assert _ticks([100]) == [100]


def test_nothing_to_plot_is_said(tmp_path):
    with pytest.raises(EvaluationError, match="no kendall_tau to plot"):
        budget_plot([], tmp_path / "a.png")
    with pytest.raises(EvaluationError, match="run stage=proxies first"):
        cost_plot(aggregates("params", 0.1, (0,)), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
