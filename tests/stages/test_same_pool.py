"""Encoders and heads of an earlier call are used again only for the pool and the snapshots that they were fitted on."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nap2.checkpoint import save_checkpoint
from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.evaluation.splits import Split
from nap2.stages.cae_stage import encoder_spec, pool_name
from nap2.stages.compose import compose_config
from nap2.stages.predictor_stage import train_one
from nap2.stages.run_folder import RunFolder
from nap2.stages.splits import Pool


def config_of(num_snapshots: int = 2) -> Config:
    return compose_config(["stage=cae", "experiment=digits", f"snapshot.num_snapshots={num_snapshots}"])[1]


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    split = Split("nasbench201", "digits", "paper", 0, 0, ("a", "b"), ("c",), ("d",), ("a", "b"))
    return Pool({}, {}, [split], RunFolder(tmp_path))


def fitted(config: Config, pool: Pool, folder: Path, key: str) -> Path:
    spec = {"kind": "any", key: pool_name(config, pool), "seconds": 1.0}
    save_checkpoint(folder / "checkpoint", {"x": {"y": torch.zeros(1)}}, spec, "")
    return folder


def test_an_encoder_of_other_snapshots_or_candidates_is_refused(pool: Pool) -> None:
    fitted(config_of(2), pool, pool.folder.encoder_of("weights"), "pool")
    assert encoder_spec(config_of(2), pool, "weights")["seconds"] == 1.0
    with pytest.raises(EvaluationError, match=r"was fitted on 2×2 maps .* asks for 2×3; .* set name= for a new run"):
        encoder_spec(config_of(3), pool, "weights")
    grown = replace(pool, splits=[replace(pool.splits[0], pool=("a", "b", "e"))])
    with pytest.raises(EvaluationError, match=r"was fitted on 2×2 maps .* asks for 3×2"):
        encoder_spec(config_of(2), grown, "weights")


def test_a_head_of_other_snapshots_is_not_taken_for_trained(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    fitted(config_of(2), pool, pool.folder.predictor(2, 0), "cae_pool")
    train_one(config_of(2), pool, pool.splits[0], 2, None)
    assert "already at" in capsys.readouterr().out
    with pytest.raises(EvaluationError, match=r"was fitted on 2×2 maps .* asks for 2×3"):
        train_one(config_of(3), pool, pool.splits[0], 2, None)
