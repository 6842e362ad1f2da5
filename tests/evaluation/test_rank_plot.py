"""The picture of ranks: who is drawn where."""

import numpy as np
import pytest

from nap2.errors import EvaluationError
from nap2.evaluation.plots import rank_plot as module
from nap2.evaluation.plots.rank_plot import rank_plot


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draws, and returns the points (rank by accuracy, rank by prediction) and the texts."""

    def draw(predicted, truth):
        figures = []
        monkeypatch.setattr(module, "save", lambda figure, path: figures.append(figure) or path)
        rank_plot(np.asarray(predicted, float), np.asarray(truth, float), tmp_path / "ranks.png")
        axes = figures[0].axes[0]
        points = np.concatenate([np.asarray(dots.get_offsets()) for dots in axes.collections])
        return {tuple(point) for point in points.tolist()}, [text.get_text() for text in axes.texts]

    return draw


def test_the_best_has_rank_1_on_both_sides(drawn):
    points, texts = drawn([[0.9, 0.1, 0.5]], [0.8, 0.2, 0.6])
    assert points == {(1, 1), (2, 2), (3, 3)}
    assert texts == ["1 of the best 1 are ranked among the first 1"]


def test_each_trial_is_ranked_by_itself_whatever_its_scale(drawn):
    points, _ = drawn([[100, 200, 300], [0.3, 0.2, 0.1]], [0.1, 0.2, 0.3])
    assert points == {(3, 2), (2, 2), (1, 2)}


def test_what_no_trial_scored_is_left_out(drawn):
    points, _ = drawn([[np.nan, 0.1, 0.2], [np.nan, np.nan, 0.2]], [0.9, 0.1, 0.2])
    assert points == {(1, 1), (2, 2)}
    with pytest.raises(EvaluationError, match="no rank to draw"):
        drawn([[np.nan]], [0.5])


def test_equal_answers_give_equal_files(tmp_path):
    values = np.random.default_rng(0).uniform(size=(2, 60))
    first = rank_plot(values, values[0], tmp_path / "a.png", title="a run")
    second = rank_plot(values, values[0], tmp_path / "b.png", title="a run")
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG")
