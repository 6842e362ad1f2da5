"""What is released stays released, whatever the folders beside it hold."""

from pathlib import Path

import pytest
import torch

from nap2.checkpoint import save_checkpoint
from nap2.stages.command.compose import compose_config
from nap2.stages.publish_stage import stand_ins_of, write_index


def test_a_damaged_predictor_leaves_the_index_as_it_was_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = {"kind": "predictor", "every": 5, "num_snapshots": 1, "revision": 1, "train_size": 4}
    spec["setting"] = {"space": "nasbench201", "dataset": "digits"}
    for name in ("one", "two"):
        save_checkpoint(tmp_path / name, {"part": {"weight": torch.zeros(1)}}, spec, "# Card\n")
    write_index(tmp_path)
    index = (tmp_path / "README.md").read_text()
    assert index.count("card.md") == 2
    (tmp_path / "two/spec.json").write_text("{")
    save_checkpoint(tmp_path / "three", {"part": {"weight": torch.zeros(1)}}, spec, "# Card\n")
    write_index(tmp_path)
    assert (tmp_path / "README.md").read_text() == index
    assert "README.md stays as it was, for the time being: " in " ".join(capsys.readouterr().out.split())


def test_the_index_is_of_predictors_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "part", {"part": {"weight": torch.zeros(1)}}, {"kind": "encoder"}, "# Card\n")
    write_index(tmp_path)
    assert "part" not in (tmp_path / "README.md").read_text()


def test_what_was_measured_on_a_stand_in_stands_for_nothing_else() -> None:
    asked = ["stage=publish", "experiment=nb201_cifar10"]
    truth, measured = (compose_config([*asked, f"labels={name}"])[1] for name in ("truth", "measured"))
    datasets = ("svhn-6k", "cifar100")
    assert (stand_ins_of(truth, datasets), stand_ins_of(measured, datasets)) == ({"svhn-6k": "svhn"}, {})
