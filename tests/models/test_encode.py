import torch
from oracle_models import UNITS, dense_input, trajectory_of

from nap2.feature_maps import log_normalise
from nap2.models.cae import Encoder
from nap2.models.encode import encode_trajectories

TRAJECTORIES = [trajectory_of(units, num_snapshots, seed=num_snapshots) for num_snapshots, units in enumerate(UNITS, 1)]


def encoders() -> tuple[Encoder, Encoder]:
    torch.manual_seed(0)
    return Encoder().eval(), Encoder().eval()


def test_embeddings_are_those_of_the_dense_maps_weights_first() -> None:
    pair = encoders()
    embeddings = encode_trajectories(*pair, TRAJECTORIES)
    for trajectory, embedding in zip(TRAJECTORIES, embeddings, strict=True):
        maps = [dense_input(log_normalise(trajectory.values[:, m]), tuple(trajectory.units.tolist())) for m in range(2)]
        with torch.no_grad():
            expected = torch.cat([encoder(x) for encoder, x in zip(pair, maps, strict=True)], 1)
        assert embedding.shape == (len(trajectory), 256)
        torch.testing.assert_close(embedding, expected, rtol=1e-4, atol=1e-5)


def test_company_does_not_matter() -> None:
    pair = encoders()
    together = encode_trajectories(*pair, TRAJECTORIES)
    alone = [encode_trajectories(*pair, [t])[0] for t in TRAJECTORIES]
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-6)


def test_the_first_snapshots_do_not_depend_on_later_ones() -> None:
    pair, trajectory = encoders(), TRAJECTORIES[3]
    whole = encode_trajectories(*pair, [trajectory])[0]
    torch.testing.assert_close(encode_trajectories(*pair, [trajectory.first(2)])[0], whole[:2], rtol=1e-4, atol=1e-6)


def test_encoders_are_left_as_they_were() -> None:
    first, second = encoders()
    first.train()
    before = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    encode_trajectories(first, second, TRAJECTORIES[:1])
    assert first.training
    assert not second.training
    torch.testing.assert_close(first.state_dict(), before, rtol=0, atol=0)


def test_nothing_gives_nothing() -> None:
    assert encode_trajectories(*encoders(), []) == []
