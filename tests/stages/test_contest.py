"""What a contest knows of its candidates."""

from types import SimpleNamespace

from nap2.snapshots.curve import Curve
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
