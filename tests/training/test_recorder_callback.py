from copy import deepcopy

import pytest
import torch
from fakes_training import ARCH, RECIPE, tiny_data
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from nap2.errors import NetworkError
from nap2.feature_maps import dense_maps
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.spaces import SPACES
from nap2.training import RecorderCallback
from nap2.training.candidate_module import CandidateModule
from nap2.training.quiet_trainer import fit

SKELETON = {"num_classes": 3, "stem_channels": 4, "cells_per_stage": 1}


class OwnModule(LightningModule):
    """Somebody else's module: a small network and plain SGD."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))

    def training_step(self, batch, batch_idx):
        return cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader(count=24):
    random = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.randn(count * 4, 6, generator=random), torch.randint(3, (count * 4,), generator=random))
    return DataLoader(data, batch_size=4)


def quiet(**kwargs):
    defaults = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "accelerator": "cpu"}
    return Trainer(**{**defaults, "enable_checkpointing": False, "max_epochs": 1, **kwargs})


def final_weights(every):
    """After 30 steps of a candidate, through Lightning, with snapshots every so many steps or without any."""
    torch.manual_seed(4)
    network = SPACES["nasbench201"].build(ARCH, **SKELETON)
    callbacks = [RecorderCallback(every, attribute="network")] if every else []
    batches = tiny_data().for_run(4, 0, 30, "cpu").train_dataloader()
    fit(CandidateModule(network, RECIPE, 6), batches, callbacks, torch.device("cpu"), 30)
    assert not every or callbacks[0].num_snapshots == 30 // every
    return network.state_dict()


def test_recording_changes_nothing():
    plain = final_weights(every=None)
    for every in (10, 2):
        recorded = final_weights(every)
        assert all(torch.equal(recorded[name], plain[name]) for name in plain)


def test_it_records_what_the_plain_recorder_records():
    callback = RecorderCallback(every=6)
    quiet(callbacks=[callback]).fit(OwnModule(), loader())
    module = OwnModule()
    optimizer, recorder = module.configure_optimizers(), SnapshotRecorder(module, every=6)
    for batch in loader():
        optimizer.zero_grad()
        module.training_step(batch, 0).backward()
        recorder.step()
        optimizer.step()
    assert callback.num_snapshots == 4
    assert torch.equal(callback.trajectory().values, recorder.trajectory().values)


def test_gradients_are_accumulated_and_not_yet_clipped():
    callback = RecorderCallback(every=3)
    quiet(callbacks=[callback], accumulate_grad_batches=2, gradient_clip_val=1e-3).fit(OwnModule(), loader(6))
    module = OwnModule()
    optimizer, recorder = module.configure_optimizers(), SnapshotRecorder(module, every=3)
    for index, batch in enumerate(loader(6)):
        (module.training_step(batch, 0) / 2).backward()
        if index % 2:
            recorder.step()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1e-3)
            optimizer.step()
            optimizer.zero_grad()
    assert torch.equal(callback.trajectory().values, recorder.trajectory().values)


def test_only_steps_of_the_first_optimizer_count():
    class TwoOptimizers(OwnModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            for optimizer in self.optimizers():
                optimizer.zero_grad()
                self.manual_backward(super().training_step(batch, batch_idx))
                optimizer.step()

        def configure_optimizers(self):
            return [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in (self.net[0], self.net[2])]

    callback = RecorderCallback(every=6)
    quiet(callbacks=[callback]).fit(TwoOptimizers(), loader())
    assert callback.num_snapshots == 4


@pytest.mark.parametrize("is_first", [True, False])
def test_the_optimizer_that_moves_the_recorded_network_is_counted(is_first):
    """Whichever comes first in the list: at the other one's step the gradients are those of the step before."""

    class Rivals(OwnModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization, self.rival, self.true = False, nn.Linear(6, 3), []

        def training_step(self, batch, batch_idx):
            found = dict(zip(self.order, self.optimizers(), strict=True))
            for name in ("rival", "net"):
                self.manual_backward(cross_entropy(getattr(self, name)(batch[0]), batch[1]))
                if name == "net":
                    self.true.append(self.net[0].weight.grad.clone())
                found[name].step()
                found[name].zero_grad(set_to_none=False)

        def configure_optimizers(self):
            self.order = ("net", "rival") if is_first else ("rival", "net")
            return [torch.optim.SGD(getattr(self, name).parameters(), lr=0.1) for name in self.order]

    callback, module = RecorderCallback(every=6, attribute="net"), Rivals()
    quiet(callbacks=[callback]).fit(module, loader())
    trajectory = callback.trajectory()
    maps = dense_maps(trajectory.values, trajectory.units)  # [T, M, L, V, F]
    means = [gradient.mean().item() for gradient in module.true[5::6]]
    assert maps[:, 1, 0, 0, 0].tolist() == pytest.approx(means, rel=1e-4)


def test_an_attribute_names_the_network():
    callback, module = RecorderCallback(every=6, limit=2, attribute="net"), OwnModule()
    quiet(callbacks=[callback]).fit(module, loader())
    assert callback.trajectory().layer_names == ("0", "2")
    assert len(callback.trajectory()) == 2
    with pytest.raises(NetworkError, match=r"OwnModule has no module 'model' to record.*attribute="):
        quiet(callbacks=[RecorderCallback(attribute="model")]).fit(OwnModule(), loader())


def test_a_checkpoint_carries_the_recorder(tmp_path):
    whole = RecorderCallback(every=10)
    quiet(callbacks=[whole], max_epochs=2).fit(OwnModule(), loader())
    first = RecorderCallback(every=10)
    trainer = quiet(callbacks=[first])
    trainer.fit(OwnModule(), loader())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    second = RecorderCallback(every=10)
    quiet(callbacks=[second], max_epochs=2).fit(OwnModule(), loader(), ckpt_path=tmp_path / "run.ckpt")
    assert second.num_snapshots == 4
    assert torch.equal(second.trajectory().values, whole.trajectory().values)


def test_several_networks_of_one_module_are_recorded_in_one_run(tmp_path):
    class Rivals(OwnModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization, self.rival = False, nn.Linear(6, 3)

        def training_step(self, batch, batch_idx):
            for name, optimizer in zip(("net", "rival"), self.optimizers(), strict=True):
                optimizer.zero_grad()
                self.manual_backward(cross_entropy(getattr(self, name)(batch[0]), batch[1]))
                optimizer.step()

        def configure_optimizers(self):
            return [torch.optim.SGD(getattr(self, name).parameters(), lr=0.1) for name in ("net", "rival")]

    def run(max_epochs, **options):
        callbacks = [RecorderCallback(every=6, attribute=name) for name in ("net", "rival")]
        trainer = quiet(callbacks=callbacks, max_epochs=max_epochs)
        trainer.fit(Rivals(), loader(), **options)
        return trainer, callbacks

    trainer, callbacks = run(1)
    assert [callback.trajectory().layer_names for callback in callbacks] == [("0", "2"), ("",)]
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    _, callbacks = run(2, ckpt_path=tmp_path / "run.ckpt")
    assert [callback.num_snapshots for callback in callbacks] == [8, 8]


def test_steps_that_nobody_counted_are_pointed_out(tmp_path):
    trainer = quiet()
    trainer.fit(OwnModule(), loader(6))
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    with pytest.warns(UserWarning, match="has done 6 optimizer steps that this RecorderCallback did not count"):
        quiet(callbacks=[RecorderCallback()], max_epochs=2).fit(OwnModule(), loader(6), ckpt_path=tmp_path / "run.ckpt")


def test_state_can_be_copied_before_the_first_fit():
    callback = RecorderCallback()
    assert callback.num_snapshots == 0
    assert deepcopy(callback).state_dict() == {}
    with pytest.raises(NetworkError, match="the trainer has not started"):
        callback.trajectory()


class StepsBare(OwnModule):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers(use_pl_optimizer=False)
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, batch_idx))
        optimizer.step()


@pytest.mark.parametrize(("module", "counted"), [(OwnModule, 6), (StepsBare, 0)])
def test_a_training_without_a_snapshot_says_what_lightning_may_not_have_seen(module, counted):
    callback = RecorderCallback(every=7)
    quiet(callbacks=[callback]).fit(module(), loader(6))
    with pytest.raises(NetworkError, match=rf"yet: {counted} of 7 optimizer steps .*; train longer, .*self.optimizers"):
        callback.trajectory()


def test_what_a_checkpoint_holds_can_be_read_before_the_next_fit():
    callback, restored = RecorderCallback(every=6), RecorderCallback(every=6)
    quiet(callbacks=[callback]).fit(OwnModule(), loader())
    restored.load_state_dict(callback.state_dict())
    assert restored.num_snapshots == 4
    assert torch.equal(restored.trajectory().values, callback.trajectory().values)
    restored.load_state_dict(RecorderCallback().state_dict())
    with pytest.raises(NetworkError, match="No snapshot was taken yet"):
        restored.trajectory()


def test_a_callback_is_of_one_network(tmp_path):
    callback, module = RecorderCallback(every=6), OwnModule()
    trainer = quiet(callbacks=[callback])
    trainer.fit(module, loader())
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    with pytest.raises(NetworkError, match=r"has counted 24 steps of another network; make a new RecorderCallback"):
        quiet(callbacks=[callback]).fit(OwnModule(), loader())
    quiet(callbacks=[callback], max_epochs=1).fit(module, loader(12))
    assert callback.num_snapshots == 6
    quiet(callbacks=[callback], max_epochs=2).fit(OwnModule(), loader(), ckpt_path=tmp_path / "run.ckpt")
    assert callback.num_snapshots == 8


def test_a_compiled_network_inside_a_module_is_recorded_as_the_plain_one():
    recorded = []
    for wrap in (lambda net: net, lambda net: torch.compile(net, backend="eager"), nn.DataParallel):
        module, callback = OwnModule(), RecorderCallback(every=6)
        module.net = wrap(module.net)
        quiet(callbacks=[callback]).fit(module, loader())
        recorded.append(callback.trajectory())
    assert all(trajectory.layer_names == ("net.0", "net.2") for trajectory in recorded)
    assert all(torch.equal(trajectory.values, recorded[0].values) for trajectory in recorded)


def test_mixed_precision_is_recorded_at_the_scale_of_the_plain_run():
    plain, mixed = RecorderCallback(every=6), RecorderCallback(every=6)
    quiet(callbacks=[plain]).fit(OwnModule(), loader())
    quiet(callbacks=[mixed], precision="bf16-mixed").fit(OwnModule(), loader())
    torch.testing.assert_close(mixed.trajectory().values, plain.trajectory().values, rtol=0.2, atol=0.05)


@pytest.mark.parametrize("is_fused", [False, True])
def test_a_loss_scaler_is_taken_out_whoever_unscales_the_gradients(is_fused):
    class Adam(OwnModule):
        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), fused=is_fused)

    plain, scaled = RecorderCallback(every=6), RecorderCallback(every=6)
    quiet(callbacks=[plain], precision="bf16-mixed").fit(Adam(), loader())
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    quiet(callbacks=[scaled], plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler)]).fit(Adam(), loader())
    torch.testing.assert_close(scaled.trajectory().values, plain.trajectory().values, rtol=0.2, atol=0.05)


def test_an_optimizer_that_evaluates_the_loss_several_times_takes_one_step():
    class Lbfgs(OwnModule):
        def configure_optimizers(self):
            return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=5)

    callback = RecorderCallback(every=1)
    quiet(callbacks=[callback], max_steps=3).fit(Lbfgs(), loader())
    assert callback.num_snapshots == 3
    module = Lbfgs()
    optimizer, recorder = module.configure_optimizers(), SnapshotRecorder(module, every=1)
    for batch, _ in zip(loader(), range(3), strict=False):
        seen = []

        def closure(batch=batch, seen=seen):
            optimizer.zero_grad()
            loss = module.training_step(batch, 0)
            loss.backward()
            if not seen:
                recorder.step()
            seen.append(loss)
            return loss

        optimizer.step(closure)
        assert len(seen) > 1
    assert torch.equal(callback.trajectory().values, recorder.trajectory().values)
