import pytest
import torch
from oracle_models import UNITS, dense_input, trajectory_of

from nap2.errors import UnknownNameError
from nap2.feature_maps import log_normalise
from nap2.models.cae import Encoder
from nap2.models.encode import encode_trajectories
from nap2.models.encoders import ENCODERS, empty_encoder
from nap2.models.linear_encoder import PLACES, LinearEncoder
from nap2.models.zero_skip import compact_dense


def some_maps(count: int = 6) -> torch.Tensor:
    return torch.randn(count, 12, 65, 100, generator=torch.Generator().manual_seed(0))


def test_principal_coordinates_are_those_of_an_eigendecomposition() -> None:
    maps = some_maps()
    encoder = LinearEncoder.from_pca(maps, 3)
    rows = maps.permute(0, 2, 3, 1).reshape(6, PLACES).double()
    centred = rows - rows.mean(0)
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    kept = values[-3:].flip(0)
    expected = vectors[:, -3:].flip(1) * (5 * kept / kept[0]).sqrt()  # of the maps themselves; the first at variance 1
    with torch.no_grad():
        found = encoder(maps)
    assert (values > -1e-6).all()
    torch.testing.assert_close(found.abs().double(), expected.abs(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.mean(0), torch.zeros(3), rtol=0, atol=1e-4)


def test_directions_along_which_nothing_varies_give_zero() -> None:
    maps = some_maps(1).repeat(3, 1, 1, 1)
    maps[0] += 1.0
    with torch.no_grad():
        found = LinearEncoder.from_pca(maps, 3)(maps)
    assert found[:, 0].std() == pytest.approx(1, rel=1e-4)
    assert found[:, 1:].abs().max() == 0


def test_maps_without_their_zeros_are_encoded_as_dense_ones() -> None:
    encoder = LinearEncoder.from_pca(some_maps(), 4)
    trajectory = trajectory_of(UNITS[1], 2, seed=3)
    units = tuple(trajectory.units.tolist())
    (embedding,) = encode_trajectories(encoder, Encoder().eval(), [trajectory])
    dense = dense_input(log_normalise(trajectory.values[:, 0]), units)
    with torch.no_grad():
        torch.testing.assert_close(embedding[:, :4], encoder(dense), rtol=1e-4, atol=1e-4)
        rows = dense.permute(0, 2, 3, 1).reshape(len(dense) * 65, -1)
        torch.testing.assert_close(encoder.encode_rows(compact_dense(rows)), encoder(dense), rtol=1e-4, atol=1e-4)
    assert embedding.shape == (2, 4 + 128)


def test_every_kind_waits_for_the_values_of_its_own_tensors() -> None:
    for kind in ENCODERS:
        state = LinearEncoder(5).state_dict() if kind in ("linear", "pca") else Encoder(9).state_dict()
        empty = empty_encoder(kind, state)
        assert all(tensor.is_meta for tensor in empty.state_dict().values())
        assert {name: t.shape for name, t in empty.state_dict().items()} == {n: t.shape for n, t in state.items()}
    with pytest.raises(UnknownNameError, match=r"No kind of encoder is called 'pcaa'. Did you mean 'pca'\?"):
        empty_encoder("pcaa", {})
