"""How a predictor is fitted on the machine at hand."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nap2.errors import EvaluationError
from nap2.evaluation.splitting.splits import Split
from nap2.stages.command.compose import compose_config
from nap2.stages.fitting import heads
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool


@pytest.mark.parametrize(("asked", "used"), [([], 1), (["trainer.threads=3"], 3)])
def test_a_predictor_is_fitted_on_one_thread_unless_told_and_the_others_are_given_back(
    asked: list[str], used: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def failing(*arguments: object, **options: object) -> None:
        seen.append(torch.get_num_threads())
        raise InterruptedError

    monkeypatch.setattr(heads, "fit", failing)
    config = compose_config(["stage=predictor", "experiment=digits", *asked])[1]
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(InterruptedError):
            heads.fit_head(config, SimpleNamespace(trajectory=torch.zeros(1, 2, 256)), 0, tmp_path, "")
        assert (seen, torch.get_num_threads()) == ([used], 2)
    finally:
        torch.set_num_threads(before)


def test_a_predictor_of_one_budget_learns_from_those_that_have_as_many_snapshots() -> None:
    held = {"id a": 1, "id b": 3, "id c": 2, "id v": 3}
    config = compose_config(["stage=predictor", "experiment=digits", "predictor.reading=static"])[1]
    accuracy = {"a": 0.1, "b": 0.2, "c": 0.3, "v": 0.4}
    split = Split("nasbench201", "digits", "paper", 0, 0, ("a", "b", "c"), ("v",), (), ("a", "b", "c"))
    pool = Pool({arch: f"id {arch}" for arch in accuracy}, accuracy, [split], RunFolder(Path()))

    def read(ids: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = torch.tensor([held[name] for name in ids])
        values = torch.tensor([[float(ord(name[-1])) + step for step in range(3)] for name in ids])
        return values[:, :, None].expand(-1, -1, 4) * (torch.arange(3) < lengths[:, None])[:, :, None], lengths

    embeddings = SimpleNamespace(read=read)
    for budget, names in ((1, "abc"), (2, "bc"), (3, "b")):
        data = heads.learning_data(config, pool, split, 3, embeddings, budget)
        assert data.trajectory[:, 0, 0].tolist() == [ord(name) + budget - 1 for name in names + "v"]
        assert data.accuracy.tolist() == pytest.approx([accuracy[name] for name in names + "v"])
        assert (list(data.split["train"]), list(data.split["val"])) == (list(range(len(names))), [len(names)])
    with pytest.raises(EvaluationError, match=r"None of the 1 training candidates has 2 snapshots; ask for a larger"):
        heads.learning_data(config, pool, split, 1, embeddings, 2)
