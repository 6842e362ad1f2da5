"""Encoders of some families of statistics see these and nothing else, whatever the maps hold."""

import pytest
import torch
from torch import Tensor, nn

from nap2.errors import UnknownNameError
from nap2.feature_maps.families import FAMILIES, kept_statistics, named
from nap2.models.cae import CAE
from nap2.models.linear_encoder import LinearEncoder
from nap2.models.random_encoder import random_encoder
from nap2.schema import STATISTICS
from nap2.stages.pool.encoder_name import in_brackets

NORM = kept_statistics("norm")


def some_maps(count: int) -> Tensor:
    return torch.randn(count, 12, 65, 100, generator=torch.Generator().manual_seed(count))


def test_the_families_share_out_the_twelve_statistics_as_the_paper_does() -> None:
    assert sorted(name for family in FAMILIES.values() for name in family) == sorted(STATISTICS)
    sizes = {"general": 7, "distribution": 3, "norm": 2, "norm+general": 9, "distribution+general": 10, "all": 12}
    assert {features: int(kept_statistics(features).sum()) for features in sizes} == sizes
    assert [STATISTICS[place] for place in NORM.nonzero().flatten()] == ["l1_norm", "l2_norm"]


def test_families_have_one_name_in_any_order_and_all_of_them_are_all() -> None:
    assert named("norm+general") == named("general+norm") == "general+norm"
    assert named("norm+general+distribution") == named("all") == named("all+norm") == "all"
    with pytest.raises(UnknownNameError, match=r"'norms'.* Did you mean 'norm'"):
        named("general+norms")


def test_rows_name_kind_families_and_modality_and_the_faithful_one_by_nothing() -> None:
    assert in_brackets("cae") == ""
    assert in_brackets("cae", unlabelled=True) == " (unlabelled maps too)"
    assert in_brackets("pca", "norm", ["gradients alone"]) == " (pca encoder, norm alone, gradients alone)"


def encoders() -> dict[str, nn.Module]:
    shown = some_maps(9) * NORM[:, None, None]
    torch.manual_seed(0)
    autoencoder = CAE()
    autoencoder.encoder.read_only(NORM)
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        (autoencoder(shown) - shown).square().sum().backward()
        optimizer.step()
    return {
        "cae": autoencoder.encoder.eval(),
        "pca": LinearEncoder.from_pca(shown),
        "random": random_encoder(shown, NORM),
    }


def test_what_an_encoder_does_not_read_changes_nothing_even_after_training() -> None:
    maps = some_maps(4)
    hidden, read = maps.clone(), maps.clone()
    hidden[:, ~NORM] = 7.0
    read[:, NORM] += 1.0
    for kind, encoder in encoders().items():
        encoder.requires_grad_(False)
        torch.testing.assert_close(encoder(hidden), encoder(maps), rtol=1e-5, atol=1e-5, msg=kind)
        assert not torch.allclose(encoder(read), encoder(maps), rtol=1e-3, atol=1e-3), kind
