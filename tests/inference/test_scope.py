"""What a predictor was trained on, and the one line about what lies outside of it."""

import re
import warnings

import pytest
import torch
from fakes_predictor import random_predictor
from torch import nn

from nap2.inference.scope import remarks, scales, scope_of
from nap2.inference.training_remarks import recipe_remarks
from nap2.snapshots.recorder import SnapshotRecorder
from nap2.snapshots.trajectory import Trajectory
from nap2.training.recipe import RECIPES


def network(width: int = 6, classes: int = 3, depth: int = 3, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    hidden = [layer for _ in range(depth - 2) for layer in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), *hidden, nn.Linear(width, classes))


def recorded(model: nn.Module, gradient_factor: float = 1.0, weight_factor: float = 1.0, steps: int = 2) -> Trajectory:
    recorder = SnapshotRecorder(model, every=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(weight_factor)
    for _ in range(steps):
        model.zero_grad()
        inputs = torch.randn(16, 4, generator=torch.Generator().manual_seed(1))
        (nn.functional.cross_entropy(model(inputs), torch.arange(16) % 3)).backward()
        for parameter in model.parameters():
            parameter.grad.mul_(gradient_factor)
        recorder.step()
    return recorder.trajectory()


@pytest.fixture(scope="module")
def scope() -> dict:
    return scope_of(recorded(network(width, seed=width)) for width in (5, 6, 7, 8))


def kinds(trajectory: Trajectory, scope: dict, modality: str = "both") -> list[str]:
    return [remark.kind for remark in remarks(trajectory, scope, modality, True)]


def test_scales_are_the_median_root_mean_square_of_the_layers() -> None:
    model = network()
    trajectory = recorded(model)
    for index, tensors in enumerate(([p for p in model.parameters() if p.dim() > 1], None)):
        tensors = tensors or [p.grad for p in model.parameters() if p.dim() > 1]
        expected = torch.stack([tensor.detach().double().square().mean().sqrt() for tensor in tensors]).median().log10()
        assert float(scales(trajectory)[-1, index]) == pytest.approx(float(expected), abs=1e-5)


def test_layers_of_zeros_do_not_count_and_nothing_but_zeros_is_no_scale() -> None:
    model = network()
    frozen = network()
    frozen[0].weight.requires_grad_(False)
    recorder = SnapshotRecorder(frozen, every=1)
    frozen(torch.randn(4, 4)).sum().backward()
    recorder.step()
    measured = [float(p.grad.double().square().mean().sqrt().log10()) for p in (frozen[2].weight, frozen[4].weight)]
    assert float(scales(recorder.trajectory())[0, 1]) == pytest.approx(min(measured), abs=1e-5)
    assert scales(recorded(model, gradient_factor=0.0))[:, 1].tolist() == [-torch.inf] * 2


def test_the_scope_is_the_range_of_the_training_runs(scope: dict) -> None:
    assert scope["num_trajectories"] == 4
    assert (scope["num_layers"], scope["max_units"], scope["num_classes"]) == ([3, 3], [5, 8], [3, 3])
    assert [len(scope["log10_scale"][modality]) for modality in ("weights", "gradients")] == [2, 2]
    low, high = scope["log10_scale"]["gradients"][0]
    values = [float(scales(recorded(network(width, seed=width)))[0, 1]) for width in (5, 6, 7, 8)]
    assert min(values) - 1e-4 <= low < high <= max(values) + 1e-4


def test_training_runs_themselves_lie_inside(scope: dict) -> None:
    for width in (5, 6, 7, 8):
        assert kinds(recorded(network(width, seed=width)), scope) == []


@pytest.mark.parametrize(
    ("trajectory", "kind", "text"),
    [
        (recorded(network(depth=5)), "num_layers", "it has 5 convolutions and linear layers, .* had 3$"),
        (recorded(network(width=20)), "max_units", "20 units in its widest layer, .* had 5 to 8$"),
        (
            recorded(network(classes=4)),
            "num_classes",
            "it has 4 units in the layer defined last, .* had 3$",
        ),
        (
            recorded(network(), gradient_factor=100),
            "gradients_scale",
            "its gradients .* at snapshot 1, .* to",
        ),
        (recorded(network(), gradient_factor=0.01), "gradients_scale", r"modality=.gradients. reads gradients alone"),
        (recorded(network(width=8), weight_factor=30), "weights_scale", "the scale of its weights"),
    ],
)
def test_what_lies_outside_is_named_with_its_value_and_the_range(scope: dict, trajectory, kind: str, text: str) -> None:
    found = {remark.kind: remark.text for remark in remarks(trajectory, scope, "both", True)}
    assert kind in found
    assert "\n" not in found[kind]
    assert re.search(text, found[kind]), found[kind]


def test_only_the_modality_that_is_read_is_remarked_on(scope: dict) -> None:
    loud = recorded(network(), gradient_factor=1000)
    assert kinds(loud, scope) == ["gradients_scale"]
    assert kinds(loud, scope, "weights") == []
    assert kinds(loud, scope, "gradients") == ["gradients_scale"]
    (alone,) = remarks(loud, scope, "gradients", True)
    assert "reads gradients alone" not in alone.text


def test_networks_of_more_than_65_layers_are_compared_by_all_of_them() -> None:
    deep, deeper = (recorded(nn.Sequential(*[nn.Linear(4, 4) for _ in range(n)]), steps=1) for n in (70, 90))
    assert (deep.num_layers, len(deep.units)) == (70, 65)
    scope = scope_of([deep])
    assert (scope["num_layers"], scope["num_classes"]) == ([70, 70], None)
    (remark,) = remarks(deeper, {**scope, "log10_scale": {}}, "both", False)
    assert remark.text.startswith("it has 90 convolutions")
    assert remark.text.endswith("had 70; only the first 65 are read")


def test_values_that_were_not_finite_are_pointed_out(scope: dict) -> None:
    model = network()
    model(torch.randn(4, 4)).sum().backward()
    model[0].weight.grad[0, 0] = torch.nan
    recorder = SnapshotRecorder(model, every=1)
    recorder.step()
    assert "non_finite" in kinds(recorder.trajectory(), {})


def test_gradients_that_were_lost_are_not_called_zero() -> None:
    model = network()
    (model(torch.randn(4, 4)) * torch.nan).sum().backward()
    recorder = SnapshotRecorder(model, every=1)
    recorder.step()
    assert kinds(recorder.trajectory(), {}) == ["non_finite"]


def test_weights_that_are_not_read_are_pointed_out_where_they_are_many() -> None:
    for other, expected in ((nn.Bilinear(1, 1, 1), []), (nn.LSTM(2, 3), ["unread"])):
        model = nn.Sequential(nn.Linear(4, 8), other)
        model[0](torch.randn(4, 4)).sum().backward()
        recorder = SnapshotRecorder(model, every=1)
        recorder.step()
        assert kinds(recorder.trajectory(), {}) == expected
    (remark,) = remarks(recorder.trajectory(), {}, "both", True)
    assert remark.text.startswith(
        "65 % of its weights are not read: they lie in no convolution or linear layer (but in"
    )


def test_a_plain_prediction_warns_once_per_kind() -> None:
    trajectories = [recorded(network(width, seed=width)) for width in (5, 6, 7, 8)]
    predictor = random_predictor(every=1, num_snapshots=2, scope=scope_of(trajectories))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predictor.predict(trajectories[0])
        assert caught == []
        for _ in range(2):
            predictor.predict(recorded(network(classes=4)))
            predictor.predict(recorded(network(classes=5)))
        predictor.predict(recorded(network(depth=4)))
    texts = [str(warning.message) for warning in caught]
    assert [("defined last" in text, "linear layers" in text) for text in texts] == [(True, False), (False, True)]
    assert all(warning.filename == __file__ for warning in caught)
    result = predictor.predict_with_spread(recorded(network(classes=5)))
    assert [("defined last" in text) for text in result.warnings] == [True]


def test_gradients_that_were_never_computed_are_pointed_out() -> None:
    predictor = random_predictor(every=1, num_snapshots=2)
    recorder = SnapshotRecorder(network(), every=1)
    with pytest.warns(UserWarning, match="No parameter has a gradient"):
        recorder.step()
    with pytest.warns(UserWarning, match="gradients are zero at every snapshot: .* between backward and zero_grad"):
        predictor.predict(recorder.trajectory())
    assert kinds(recorder.trajectory(), {}, "weights") == []


def test_a_network_that_is_frozen_but_for_its_head_is_pointed_out() -> None:
    def fine_tuned(num_frozen: int) -> Trajectory:
        model = network(depth=10)
        recorder = SnapshotRecorder(model, every=1)
        model(torch.randn(16, 4)).square().sum().backward()
        for layer in [layer for layer in model if isinstance(layer, nn.Linear)][:num_frozen]:
            layer.weight.grad = None
        recorder.step()
        return recorder.trajectory()

    (remark,) = remarks(fine_tuned(8), {}, "both", True)
    assert remark.text == "8 of its 10 layers have no gradient (frozen, or cut off), so zeros are read there"
    assert kinds(fine_tuned(7), {}) == []
    assert kinds(fine_tuned(8), {}, "weights") == []
    assert kinds(fine_tuned(10), {}) == ["no_gradients"]


def test_another_optimizer_is_remarked_on_and_another_seed_is_not() -> None:
    sgd, adamw = RECIPES["nasbench201"], RECIPES["nasbench201_adamw"]
    assert recipe_remarks(sgd, sgd, "both", True) == []
    (remark,) = recipe_remarks(adamw, sgd, "both", True)
    assert remark.text.startswith("it was trained with adamw at lr 0.001 (recipe nasbench201_adamw), the networks")
    assert "reads gradients alone" in remark.text
    (remark,) = recipe_remarks(adamw, sgd, "gradients", True)
    assert "reads gradients alone" not in remark.text
