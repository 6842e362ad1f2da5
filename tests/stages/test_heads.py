"""How a predictor is fitted on the machine at hand."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nap2.stages.command.compose import compose_config
from nap2.stages.fitting import heads


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
