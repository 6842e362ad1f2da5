"""Embeddings of stored candidates."""

from types import SimpleNamespace

import pytest
import torch
from fakes_predictor import random_trajectory

from nap2.stages.fitting import embedding


@pytest.fixture
def products_in_tf32(monkeypatch):
    """As NVIDIA's containers have it, by TORCH_ALLOW_TF32_CUBLAS_OVERRIDE=1."""
    before = torch.get_float32_matmul_precision()
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("products_in_tf32")
def test_encoders_compute_in_float32_whatever_the_process_has_set(tmp_path, monkeypatch):
    seen = []

    def encode(weights, gradients, trajectories, device):
        seen.append(torch.get_float32_matmul_precision())
        return [torch.zeros(len(trajectory), 4) for trajectory in trajectories]

    monkeypatch.setattr(embedding, "encode_trajectories", encode)
    encoders = embedding.Encoders(SimpleNamespace(size=2), SimpleNamespace(size=2), "hash", torch.device("cpu"))
    store = SimpleNamespace(complete=dict, read=lambda name: SimpleNamespace(trajectory=random_trajectory(1)))
    assert not embedding.embed(store, ["a"], tmp_path / "embeddings", encoders, 1).missing()
    assert seen == ["highest"]
