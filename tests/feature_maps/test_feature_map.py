"""The map of a network is what the recorder would see of it, padded."""

import pytest
import torch
from torch import nn

from nap2.errors import NetworkError, UnknownNameError
from nap2.feature_maps import dense_maps, feature_map
from nap2.snapshots.recorder import SnapshotRecorder


def trained_once():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 104, 3), nn.Flatten(), nn.Linear(104, 5))
    model(torch.randn(2, 3, 5, 5)).square().sum().backward()
    return model


@pytest.mark.parametrize(("modality", "index"), [("weights", 0), ("gradients", 1)])
def test_it_is_the_recorded_map(modality, index):
    model = trained_once()
    recorder = SnapshotRecorder(model, every=1)
    recorder.step()
    trajectory = recorder.trajectory()
    found = feature_map(model, modality)
    assert (found.shape, found.dtype) == ((65, 100, 12), torch.float32)
    torch.testing.assert_close(found, dense_maps(trajectory.values[0, index], trajectory.units), rtol=1e-6, atol=0)


def test_rows_and_columns_are_layers_and_units():
    model = trained_once()
    found = feature_map(model, "weights")
    weight = model[0].weight.detach().flatten(1)
    torch.testing.assert_close(found[0, 0, 0], weight.mean())
    torch.testing.assert_close(found[0, 1:9, 4], weight.min(dim=1).values)
    torch.testing.assert_close(found[0, 5:10, 11], weight[0].quantile(torch.tensor([0, 0.25, 0.5, 0.75, 1])))
    assert found[0, 9:, :11].abs().max() == 0
    assert found[3:].abs().max() == 0


def test_a_network_that_was_never_differentiated_has_a_zero_gradient_map():
    assert feature_map(nn.Linear(4, 3), "gradients").abs().max() == 0


def test_an_unknown_modality_is_refused():
    with pytest.raises(UnknownNameError, match=r"No modality is called 'gradient'\. Did you mean 'gradients'"):
        feature_map(nn.Linear(4, 3), "gradient")


def test_a_network_without_layers_is_refused():
    with pytest.raises(NetworkError, match="no layer to record"):
        feature_map(nn.ReLU(), "weights")
