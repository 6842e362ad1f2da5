"""What a contest knows of its candidates."""

from types import SimpleNamespace

import pytest

from nap2.errors import EvaluationError
from nap2.snapshots.curve import Curve
from nap2.stages import evaluate_stage
from nap2.stages.command.compose import compose_config
from nap2.stages.exam.contest import Candidates, Early


def test_a_candidate_is_read_once_however_often_and_by_whatever_name_it_is_asked_for() -> None:
    asked: list[str] = []
    curve = Curve([2.3], [0.1], [1.0])

    def read(candidate_id: str) -> SimpleNamespace:
        asked.append(candidate_id)
        return SimpleNamespace(curve=curve, trajectory=SimpleNamespace(units=[2, 3]))

    candidates = Candidates(SimpleNamespace(read=read), {"a": "id a", "b": "id b"})
    for _ in range(2):
        assert candidates.early("a") == candidates.early_of("id a") == Early(curve, 2)
    candidates.early("b")
    assert asked == ["id a", "id b"]


def test_candidates_of_one_accuracy_are_not_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    contest = SimpleNamespace(tested=("a", "b"), accuracy={"a": 0.25, "b": 0.25, "c": 0.5}, results=None)
    monkeypatch.setattr(evaluate_stage, "contest_of", lambda _: contest)
    with pytest.raises(EvaluationError, match=r"Nothing can rank 2 test candidates of one accuracy \(25\.00 %\); test"):
        evaluate_stage.run(compose_config(["stage=evaluate", "experiment=digits"])[1])
