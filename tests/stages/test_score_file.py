"""The scores file: merged by proxy, what is missing known, unfinished lines passed over; work goes out in portions."""

import json
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from nap2.errors import DataFileError
from nap2.evaluation.records.rows import append_lines
from nap2.stages.scores import proxy_scores
from nap2.stages.scores.proxy_scores import _results
from nap2.stages.scores.score_file import Task, read_scores

A, B, C = (Task(name, 0, 0) for name in "abc")


def line(task: Task, **scores: object) -> dict[str, object]:
    table = {
        name: {
            "value": None if isinstance(score, str) else score,
            "failure": score if isinstance(score, str) else None,
            "seconds": 0.5,
            "forwards": 3.0,
        }
        for name, score in scores.items()
    }
    return {"arch_str": task.arch_str, "seed": task.seed, "batch": task.batch, "scores": table}


def test_lines_of_one_network_are_merged_and_the_later_one_holds(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    append_lines(path, [line(A, snip=1.0), line(B, snip=2.0, zen="no map"), line(A, zen=4.0, snip=1.5)])
    scores = read_scores(path, [B, A], ["zen", "snip"])
    np.testing.assert_array_equal(scores.values, [[np.nan, 2.0], [4.0, 1.5]])
    np.testing.assert_array_equal(scores.seconds, np.full((2, 2), 0.5))
    np.testing.assert_array_equal(scores.forwards, np.full((2, 2), 3.0))
    assert scores.missing() == []
    assert scores.failures() == {("zen", "no map"): 1}


def test_what_was_not_tried_is_missing_and_a_failure_is_not(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    append_lines(path, [line(A, snip=1.0), line(B, zen="no map"), line(Task("a", 1, 0), snip=9.0, zen=9.0)])
    scores = read_scores(path, [A, B, C], ["snip", "zen"])
    assert scores.missing() == [(A, ("zen",)), (B, ("snip",)), (C, ("snip", "zen"))]


def test_a_file_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    assert read_scores(tmp_path / "none", [A], ["snip"]).missing() == [(A, ("snip",))]


def test_an_unfinished_line_is_passed_over_and_cut_off_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    append_lines(path, [line(A, snip=1.0)])
    with path.open("a") as file:
        file.write(json.dumps(line(B, snip=2.0))[:-7])
    assert [task for task, _ in read_scores(path, [A, B], ["snip"]).missing()] == [B]
    append_lines(path, [line(C, snip=3.0)])
    assert read_scores(path, [A, B, C], ["snip"]).values[:, 0].tolist()[::2] == [1.0, 3.0]


@pytest.mark.parametrize("content", ["junk", "[]", '{"seed": 0}', json.dumps({**line(A), "scores": 1})])
def test_a_damaged_line_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "scores.jsonl"
    append_lines(path, [line(B, snip=1.0)])
    with path.open("a") as file:
        file.write(content + "\n")
    with pytest.raises(DataFileError, match=r"scores\.jsonl, line 2: no scores \(.*\): remove the line\.$"):
        read_scores(path, [A, B], ["snip"])


class CountingPool:
    """Finishes a piece of work as soon as it is handed in, and counts what is out."""

    def __init__(self) -> None:
        self.handed = 0

    def submit(self, function: object, task: Task, names: tuple[str, ...]) -> "Future[dict[str, object]]":
        self.handed += 1
        future: Future[dict[str, object]] = Future()
        future.set_result({"arch_str": task.arch_str})
        return future


def test_work_is_handed_out_in_portions_however_long_the_list_is() -> None:
    pool, seen = CountingPool(), []
    work = ((Task(str(number), 0, 0), ("snip",)) for number in range(1000))
    for done, result in enumerate(_results(pool, work, 8), 1):  # type: ignore[arg-type]  # all it needs is `submit`
        seen.append(result["arch_str"])
        assert pool.handed - done < 8
    assert sorted(seen, key=int) == [str(number) for number in range(1000)]


def test_nothing_to_do_starts_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(proxy_scores, "ProcessPoolExecutor", None)
    proxy_scores.score_all(None, [], tmp_path / "scores.jsonl", 2)  # type: ignore[arg-type]  # nothing reads the job
    assert not list(tmp_path.iterdir())
