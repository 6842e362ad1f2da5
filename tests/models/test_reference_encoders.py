"""The encoders that an autoencoder must beat are what they say they are."""

import numpy as np
import torch

from nap2.models.linear_encoder import LinearEncoder
from nap2.models.random_encoder import random_encoder
from nap2.seeding import forked_random_state

FILLED = 400


def some_maps(count: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    maps = torch.zeros(count, 12 * 65 * 100)
    maps[:, :: 78_000 // FILLED] = torch.randn(count, len(range(0, 78_000, 78_000 // FILLED)), generator=random)
    return (maps * torch.linspace(1, 3, 78_000)).view(count, 12, 65, 100)


def test_pca_agrees_with_numpy_up_to_one_scale() -> None:
    maps = some_maps(9)
    rows = maps.double().flatten(1).numpy()
    left, deviations, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    expected = np.abs(left[:, :8] * deviations[:8]) / (deviations[0] / np.sqrt(8))
    found = LinearEncoder.from_pca(maps)(maps).detach().double().numpy()
    np.testing.assert_allclose(np.abs(found), expected, atol=2e-5)


def test_pca_keeps_distances_and_scales_the_first_component_to_one() -> None:
    maps, new = some_maps(9), some_maps(4, seed=1)
    encoder = LinearEncoder.from_pca(maps)
    with torch.no_grad():
        inside, outside = encoder(maps), encoder(new)
    torch.testing.assert_close(inside.var(0)[0], torch.tensor(1.0), rtol=1e-4, atol=0)
    assert (inside.var(0)[:-1] >= inside.var(0)[1:] - 1e-6).all()
    ratio = torch.pdist(inside) / torch.pdist(maps.flatten(1))
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), rtol=1e-3, atol=0)
    assert outside.shape == (4, 8)
    assert torch.isfinite(outside).all()


def test_pca_depends_on_nothing_but_the_maps_whatever_their_order() -> None:
    maps = some_maps(9)
    with torch.no_grad():
        first, second = LinearEncoder.from_pca(maps)(maps), LinearEncoder.from_pca(maps.flip(0))(maps)
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)


def test_pca_has_at_most_the_size_asked_for_and_gives_zero_where_nothing_varies() -> None:
    maps = some_maps(9)
    assert LinearEncoder.from_pca(maps, size=5).size == 5
    twice = torch.cat([maps[:2], maps[:2]])  # two different maps: one component
    found = LinearEncoder.from_pca(twice)(maps).detach()
    assert (found[:, 1:] == 0).all()
    assert (found[:, 0] != 0).any()


def test_a_random_encoder_is_normalised_on_the_pool_and_follows_its_seed() -> None:
    maps = some_maps(6)
    encoders = []
    for seed in (0, 0, 1):
        with forked_random_state(seed):
            encoders.append(random_encoder(maps))
    first, again, other = (encoder(maps).detach() for encoder in encoders)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not encoders[0].training
    mean = encoders[0].norm3.running_mean
    assert mean is not None
    assert float(first.std(0).mean()) > 0.1  # different maps, clearly different embeddings
