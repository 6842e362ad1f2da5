"""What is released stays released, whatever the folders beside it hold."""

from pathlib import Path

import pytest
import torch

from nap2.checkpoint import save_checkpoint
from nap2.stages.publish_stage import _bring_up_to_date


def test_a_damaged_predictor_leaves_the_index_as_it_was_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = {"kind": "predictor", "every": 5, "num_snapshots": 1, "revision": 1, "train_size": 4}
    spec["setting"] = {"space": "nasbench201", "dataset": "digits"}
    for name in ("one", "two"):
        save_checkpoint(tmp_path / name, {"part": {"weight": torch.zeros(1)}}, spec, "# Card\n")
    _bring_up_to_date(tmp_path)
    index = (tmp_path / "README.md").read_text()
    assert index.count("card.md") == 2
    (tmp_path / "two/spec.json").write_text("{")
    save_checkpoint(tmp_path / "three", {"part": {"weight": torch.zeros(1)}}, spec, "# Card\n")
    _bring_up_to_date(tmp_path)
    assert (tmp_path / "README.md").read_text() == index
    assert "README.md stays as it was, for the time being: " in " ".join(capsys.readouterr().out.split())
