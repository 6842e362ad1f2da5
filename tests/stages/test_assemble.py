"""What a predictor's folder says of the precision it is stored in."""

from pathlib import Path

import pytest
import torch
from fakes_predictor import random_predictor, random_trajectory

from nap2.inference import Predictor
from nap2.stages.command.compose import compose_config
from nap2.stages.fitting.assemble import card, precision


@pytest.mark.slow
def test_a_predictor_that_says_the_same_of_all_is_saved_and_its_card_claims_no_order(tmp_path: Path) -> None:
    predictor = random_predictor()
    for parameter in predictor.heads["both"][0].parameters():
        torch.nn.init.zeros_(parameter)
    found = precision(predictor, [random_trajectory(2, seed=seed) for seed in range(3)])
    assert (found["kendall_tau"], found["largest_difference"], found["num_candidates"]) == (None, 0.0, 3)
    spec = {"precision": found, "heads": [{}]}
    text = card(compose_config(["stage=predictor", "experiment=digits"])[1], 4, spec)
    assert "Kendall τ undefined (all are equal) with the predictions at full precision over 3 candidates" in text
    predictor.save(tmp_path / "saved", text, bits=found["bits"], precision=found)
    assert Predictor.from_pretrained(tmp_path / "saved").spec["precision"] == found
