"""What a GPU does to the scoring of many networks: its lack of room is not the network's failure."""

import json

import pytest
from fakes_campaign import gpu_error

from nap2.errors import EvaluationError
from nap2.stages.scores import proxy_scores
from nap2.stages.scores.proxy_scores import ScoringJob, score_all
from nap2.stages.scores.score_file import Task

NAMES = ("snip", "synflow")
WORK = [(Task(arch, 0, 0), NAMES) for arch in "abc"]
NO_ROOM = "the network failed: OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."


def scored(task, failure=None):
    one = {"value": None if failure else 1.0, "failure": failure, "seconds": 0.1, "forwards": 1}
    return {"arch_str": task.arch_str, "seed": 0, "batch": 0, "scores": {"snip": one, "synflow": one}}


@pytest.fixture
def score(monkeypatch, tmp_path):
    """Score `WORK` by workers that come to these results; gives the architectures that were kept."""
    path = tmp_path / "scores.jsonl"

    def run(results, workers):
        def came(*_):
            for result in results:
                if isinstance(result, Exception):
                    raise result
                yield result

        monkeypatch.setattr(proxy_scores, "_results", came)
        score_all(ScoringJob("nasbench201", {}, {}, {}, 4, "cuda"), WORK, path, workers)

    run.kept = lambda: [json.loads(line)["arch_str"] for line in path.read_text().splitlines()]
    return run


def test_a_network_that_found_no_room_beside_others_is_left_for_another_call(score):
    results = [scored(WORK[0][0]), scored(WORK[1][0], NO_ROOM), scored(WORK[2][0])]
    with pytest.raises(EvaluationError, match=r"^1 network did not fit into the GPU's memory .*with fewer workers\.$"):
        score(results, 2)
    assert score.kept() == ["a", "c"]


def test_one_that_found_no_room_alone_has_failed(score):
    score([scored(task, NO_ROOM) for task, _ in WORK], 1)
    assert score.kept() == ["a", "b", "c"]


def test_a_lost_gpu_ends_the_stage_in_one_line(score):
    with pytest.raises(
        EvaluationError, match=r"^The GPU was lost after 1 of 3 networks \(.*illegal.*\)\. What is scored"
    ):
        score([scored(WORK[0][0]), gpu_error("CUDA error: an illegal memory access")], 2)
    assert score.kept() == ["a"]
    with pytest.raises(RuntimeError, match="shapes"):
        score([RuntimeError("shapes do not fit")], 2)


def test_a_system_without_semaphores_is_one_line(score, monkeypatch):
    """A container without /dev/shm."""

    def refuse(*_, **__):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(proxy_scores, "ProcessPoolExecutor", refuse)
    with pytest.raises(EvaluationError, match=r"^No process .* no semaphores \(FileNotFoundError: .*/dev/shm"):
        score([], 1)
