"""A predictor and the networks it ranks on a GPU (see `gpu` in tests/conftest.py): what they say on a CPU."""

import pytest
import torch
from fakes_predictor import random_predictor, random_trajectory
from torch import nn
from torch.utils.data import DataLoader

import nap2
from nap2.models.encode import encode_trajectories
from nap2.models.linear_encoder import LinearEncoder
from nap2.seeding import make_deterministic
from nap2.training.recorder_callback import RecorderCallback

pytestmark = pytest.mark.usefixtures("gpu", "full_precision")
TRAJECTORIES = [random_trajectory(n, seed=n, units=units) for n, units in ((1, (4, 8)), (4, (120, 3, 3)), (3, (4, 8)))]


@pytest.fixture
def full_precision():
    make_deterministic()  # what the tests compute themselves, they compute as the library does


def networks():
    torch.manual_seed(0)
    return {
        "small": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)),
        "wide": nn.Sequential(
            nn.Conv2d(3, 120, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(120, 3)
        ),
    }


def batches():
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(6, 3, 8, 8, generator=generator), torch.arange(6) % 3) for _ in range(4)]


def test_a_predictor_says_the_same_on_a_gpu():
    predictor = random_predictor(num_heads=2)
    on_cpu = predictor.predict_many(TRAJECTORIES)
    spread = predictor.predict_with_spread(TRAJECTORIES[1])
    assert predictor.to("cuda").device.type == "cuda"
    assert predictor.predict_many(TRAJECTORIES) == pytest.approx(on_cpu, abs=1e-5)
    assert predictor.predict_with_spread(TRAJECTORIES[1]).spread == pytest.approx(spread.spread, abs=1e-5)
    assert not predictor.embed(TRAJECTORIES[0]).is_cuda


def test_a_predictor_on_a_gpu_is_saved_as_from_a_cpu(tmp_path):
    predictor = random_predictor()
    expected = predictor.predict(TRAJECTORIES[1])
    predictor.to("cuda").save(tmp_path / "checkpoint", "A card.")
    assert nap2.Predictor.from_pretrained(tmp_path / "checkpoint").predict(TRAJECTORIES[1]) == expected


def test_a_default_device_changes_nothing():
    predictor = random_predictor(every=2, num_snapshots=4)
    trajectories = [random_trajectory(n, every=2, seed=n, units=(5, 11)) for n in (1, 4)]  # units not seen elsewhere
    loader = batches()  # their own generator draws on the CPU
    with torch.device("cuda"):
        there = predictor.predict_many(trajectories)
        assert predictor.predict_many([]) == []
        (place,) = predictor.rank({"net": networks()["small"].cpu()}, loader, query_batches=4)
        recorder = nap2.SnapshotRecorder(networks()["small"].cpu(), every=2)
        assert not recorder.state_dict()["values"].is_cuda
    assert place.failure is None
    assert there == predictor.predict_many(trajectories)


def test_linear_encoders_encode_on_a_gpu():
    torch.manual_seed(0)
    encoders = [LinearEncoder.from_pca(torch.randn(5, 12, 65, 100)) for _ in range(2)]
    on_cpu = encode_trajectories(*encoders, TRAJECTORIES)
    on_gpu = encode_trajectories(*(encoder.to("cuda") for encoder in encoders), TRAJECTORIES, "cuda")
    for found, expected in zip(on_gpu, on_cpu, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_predictor_there", [False, True])
def test_networks_on_a_gpu_are_ranked_as_on_a_cpu(is_predictor_there):
    predictor = random_predictor(every=2, num_snapshots=3)
    expected = predictor.rank(networks(), batches(), query_batches=4)
    if is_predictor_there:
        predictor.to("cuda")
    there = {name: model.to("cuda") for name, model in networks().items()}
    before = {name: [p.cpu() for p in model.parameters()] for name, model in there.items()}
    found = predictor.rank(there, batches(), query_batches=4)
    accuracies = {place.name: place.predicted_accuracy for place in expected}
    assert [place.failure for place in found] == [None, None]
    assert {place.name: place.predicted_accuracy for place in found} == pytest.approx(accuracies, abs=1e-3)
    for name, model in there.items():  # copies are trained
        assert all(torch.equal(p.cpu(), old) for p, old in zip(model.parameters(), before[name], strict=True))


def test_the_first_look_of_a_lazy_network_is_on_its_device():
    seen = []

    class Watched(nn.Linear):
        def forward(self, inputs):
            seen.append(inputs.device.type)
            return super().forward(inputs)

    lazy = nn.Sequential(nn.Flatten(), Watched(192, 4).to("cuda"), nn.LazyLinear(3))  # the stand-in has no lazy weights
    random_predictor(every=2, num_snapshots=3).rank({"lazy": lazy}, batches(), query_batches=4)
    assert seen[0] == "cuda"


def test_a_loss_scaler_is_taken_out_of_the_gradients():
    model = networks()["small"].to("cuda")
    plain, scaled = (nap2.SnapshotRecorder(model, every=1) for _ in range(2))
    (images, labels), *_ = batches()
    for recorder, scale in ((plain, 1.0), (scaled, 1024.0)):
        model.zero_grad()
        (nn.functional.cross_entropy(model(images.to("cuda")), labels.to("cuda")) * scale).backward()
        recorder.step(grad_scale=scale)
    torch.testing.assert_close(scaled.trajectory().values, plain.trajectory().values, rtol=1e-4, atol=1e-6)


def test_the_lightning_callback_records_on_a_gpu():
    from lightning.pytorch import LightningModule, Trainer

    class Module(LightningModule):
        def __init__(self):
            super().__init__()
            self.net = networks()["small"]

        def training_step(self, batch, batch_idx):
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    recorders = {}
    for accelerator in ("cpu", "gpu"):
        recorders[accelerator] = recorder = RecorderCallback(every=2)
        quiet = {
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        }
        trainer = Trainer(accelerator=accelerator, devices=1, max_epochs=1, callbacks=[recorder], **quiet)
        torch.manual_seed(0)
        trainer.fit(Module(), DataLoader(batches(), batch_size=None))
    values = (recorders[name].trajectory().values for name in ("gpu", "cpu"))
    torch.testing.assert_close(*values, rtol=1e-3, atol=1e-5)
