"""A ranking trains a candidate as the store does: otherwise its predictor would judge another kind of run."""

from pathlib import Path

import torch
from fakes_training import RECIPE, FakeWriter, tiny_candidate, tiny_data

from nap2.inference.prediction import Prediction
from nap2.inference.ranking import Query, rank_models
from nap2.seeding import forked_random_state
from nap2.snapshots.trajectory import Trajectory
from nap2.spaces import SPACES
from nap2.training.train_candidate import train_candidate


def test_a_ranking_trains_as_the_store_does_also_beyond_the_first_epoch(tmp_path: Path) -> None:
    candidate, writer = tiny_candidate(), FakeWriter(tmp_path)
    every, num_steps = candidate.setting.every, 3 * candidate.setting.every
    assert num_steps > 2 * tiny_data().batches_per_epoch  # the learning rate has fallen twice
    train_candidate(candidate, tiny_data(), writer, num_snapshots=3)
    with forked_random_state(candidate.seed):
        network = SPACES["nasbench201"].build(candidate.arch_str, **candidate.setting.skeleton)
    seen: list[Trajectory] = []

    def keep(trajectory: Trajectory) -> Prediction:
        seen.append(trajectory)
        return Prediction(0.5)

    batches = tiny_data().for_run(candidate.seed, 0, num_steps, "cpu").train_dataloader()
    (place,) = rank_models(keep, {"net": network}, Query(batches, num_steps, RECIPE, every, seed=0))
    assert place.failure is None
    torch.testing.assert_close(seen[0].values, writer.trajectory.values, rtol=2e-3, atol=1e-4)
