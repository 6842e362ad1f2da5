"""The fusion's loss against torch and slow loops, and what its penalty and its standardisation promise."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from nap2.errors import EvaluationError
from nap2.models.fusion import SMOOTH, Design, FusionOptions, LinearFusion, Parts, _pairs, loss_and_gradient
from nap2.models.losses import l1_pairwise, pairwise_logistic
from nap2.models.nap2_plus import Nap2Plus
from nap2.stages.command.compose import compose_config


def sample(count: int = 30, size: int = 4, seed: int = 0):
    random = np.random.default_rng(seed)
    features = random.standard_normal((count, size))
    base = random.uniform(0.4, 0.9, count)
    accuracy = base + 0.05 * features[:, 0] + 0.01 * random.standard_normal(count)
    return features, base, accuracy


def test_the_loss_and_its_gradient_agree_with_torch() -> None:
    features, base, accuracy = sample()
    parameters = np.array([0.3, -0.2, 0.1, 0.0, 0.4])
    found, gradient = loss_and_gradient(parameters, features, base, accuracy, _pairs(accuracy), 0.3, 0.7)
    free = torch.tensor(parameters, requires_grad=True)
    predicted = torch.tensor(base) + free[-1] + torch.tensor(features) @ free[:-1]
    expected = functional.smooth_l1_loss(predicted, torch.tensor(accuracy), beta=SMOOTH)
    expected = expected + 0.7 * pairwise_logistic(predicted, torch.tensor(accuracy), temperature=1.0)
    expected = expected + 0.3 * free[:-1].square().sum()
    expected.backward()
    assert free.grad is not None
    assert found == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, free.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_the_pairwise_loss_agrees_with_a_slow_loop() -> None:
    random = torch.Generator().manual_seed(0)
    predicted, accuracy = torch.rand(9, generator=random), torch.rand(9, generator=random)
    accuracy[3] = accuracy[5]  # a pair that is no pair
    terms = [
        np.log1p(np.exp(-(predicted[i] - predicted[j]).item() / 0.01))
        for i in range(9)
        for j in range(9)
        if accuracy[i] > accuracy[j]
    ]
    assert len(terms) == 35
    assert float(pairwise_logistic(predicted, accuracy)) == pytest.approx(np.mean(terms), rel=1e-5)


def test_the_pairwise_loss_has_its_edges() -> None:
    accuracy = torch.tensor([0.1, 0.5, 0.9])
    level = torch.full((3,), 0.5, requires_grad=True)
    assert pairwise_logistic(level, accuracy).item() == pytest.approx(np.log(2))
    assert float(pairwise_logistic(accuracy, accuracy)) < 1e-6
    assert pairwise_logistic(level[:1], accuracy[:1]).item() == 0.0
    l1_pairwise(level, accuracy).backward()
    assert level.grad is not None
    assert level.grad[2] < 0 < level.grad[0]  # downhill is up for the best, down for the worst


def test_an_infinite_penalty_leaves_the_base_and_a_small_one_learns_the_features() -> None:
    features, base, accuracy = sample()
    strict = LinearFusion.fit(features, base, accuracy, float("inf"))
    np.testing.assert_allclose(np.diff(strict.predict(features, base) - base), 0.0, atol=1e-12)
    free = LinearFusion.fit(features, base, accuracy, 1e-4)
    assert np.abs(free.predict(features, base) - accuracy).mean() < 0.012
    assert np.abs(free.weight[0]) > 10 * np.abs(free.weight[1:]).max()
    weights = [np.abs(LinearFusion.fit(features, base, accuracy, r).weight).sum() for r in (0.01, 0.1, 1.0, 10.0)]
    assert weights == sorted(weights, reverse=True)


def test_a_fusion_does_not_depend_on_the_order_of_the_candidates() -> None:
    features, base, accuracy = sample()
    order = np.random.default_rng(1).permutation(len(base))
    first = LinearFusion.fit(features, base, accuracy, 0.1)
    second = LinearFusion.fit(features[order], base[order], accuracy[order], 0.1)
    np.testing.assert_allclose(first.weight, second.weight, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, b, a: (f, b[:-1], a), "are not"),
        (lambda f, b, a: (f[:2], b[:2], a[:2]), "at least 3 labelled candidates; there are 2"),
        (lambda f, b, a: (f * np.nan, b, a), "from features that are not finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(change, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        LinearFusion.fit(*change(*sample()), ridge=0.1)


def parts_of(count: int, seed: int = 0) -> Parts:
    random = np.random.default_rng(seed)
    plain = random.standard_normal((count, 3)) * [1, 1000, 1] + 5
    return Parts(plain, random.standard_normal((count, 20)), random.uniform(0, 1, count))


def test_a_design_standardises_on_its_own_candidates_and_puts_missing_numbers_at_their_mean() -> None:
    parts = parts_of(12)
    parts.plain[3, 1], parts.plain[:, 2] = np.nan, 7.0  # one number missing, one column constant
    features = Design.fit(parts, components=2).features(parts)
    assert features.shape == (12, 3 + 1 + 2)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(features[:, [0, 3]].std(axis=0), 1)
    assert features[3, 1] == 0
    assert (features[:, 2] == 0).all()
    assert features[:, 4].std() == pytest.approx(1)
    assert features[:, 5].std() <= 1


def test_the_components_are_those_of_numpy() -> None:
    parts = parts_of(12)
    found = Design.fit(parts, components=3).features(parts)[:, 4:]
    left, deviations, _ = np.linalg.svd(parts.embedding - parts.embedding.mean(axis=0), full_matrices=False)
    expected = left[:, :3] * deviations[:3] / (deviations[0] / np.sqrt(12))
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-10)


def test_a_part_that_is_not_there_has_no_columns() -> None:
    bare = Parts(parts_of(8).plain, np.empty((8, 0)), None)
    assert Design.fit(bare, components=3).features(bare).shape == (8, 3)
    assert (bare.base_or_zero == 0).all()


def test_the_fusion_finds_what_the_dynamics_add_and_drops_what_is_noise() -> None:
    random = np.random.default_rng(3)
    hidden = random.standard_normal(60)
    base = random.uniform(0.5, 0.9, 60)
    accuracy = base + 0.05 * hidden
    signal = np.outer(hidden, random.standard_normal(16)) + 0.1 * random.standard_normal((60, 16))
    noise = random.standard_normal((60, 16))
    train, test = np.arange(40), np.arange(40, 60)
    folds = np.array_split(train, 5)
    fitted = {}
    for name, embedding in (("signal", signal), ("noise", noise)):
        parts = Parts(np.empty((60, 0)), embedding, base)
        member = Nap2Plus.fit(parts.rows(train), accuracy[train], folds, FusionOptions())
        fitted[name] = np.corrcoef(member.predict(parts.rows(test)), accuracy[test])[0, 1], member.ridge
    alone = np.corrcoef(base[test], accuracy[test])[0, 1]
    assert fitted["signal"][0] > 0.97 > alone
    assert fitted["noise"][0] > alone - 0.05
    assert fitted["noise"][1] > fitted["signal"][1]


def test_without_a_base_an_infinite_penalty_is_no_choice() -> None:
    parts = Parts(np.random.default_rng(0).standard_normal((20, 2)), np.empty((20, 0)), None)
    accuracy = 0.5 + 0.1 * parts.plain[:, 0]
    folds = np.array_split(np.arange(20), 4)
    assert np.isfinite(Nap2Plus.fit(parts, accuracy, folds, FusionOptions()).ridge)


def test_the_options_of_the_config_are_those_of_the_code() -> None:
    node = compose_config(["stage=evaluate", "model=nap2_plus"])[1].model["fusion"]
    assert FusionOptions.from_dict(node) == FusionOptions()
