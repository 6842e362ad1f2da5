"""`Predictor.rank` on networks of every kind, each against the plain loop or the bare network."""

import warnings

import pytest
import torch
from fakes_predictor import random_predictor
from lightning.fabric import Fabric
from torch import nn
from torch.nn.utils import prune

import nap2
from nap2.errors import NetworkError
from nap2.inference import Predictor, Ranking
from nap2.inference.scope import scope_of
from nap2.training.recipe import DIGITS, RECIPES


@pytest.fixture(scope="module")
def ranker() -> Predictor:
    return random_predictor(every=2, num_snapshots=3, num_heads=2, gradients_alone=True)


def batches(*shape: int, count: int = 4, classes: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(6, *shape, generator=generator), torch.arange(6) % classes) for _ in range(count)]


def one(ranker: Predictor, model: nn.Module, data: list, query_batches: int = 4, **options) -> Ranking:
    (place,) = ranker.rank({"net": model}, data, query_batches, **options)
    return place


def by_hand(ranker: Predictor, model: nn.Module, data: list, modality: str | None = None) -> float:
    """The prediction after a loop of one's own with the same recipe."""
    model.train()
    recorder = nap2.SnapshotRecorder(model, every=2)
    recipe = RECIPES["nasbench201"]
    optimizer = recipe.build_optimizer(model.parameters())
    for step, (inputs, targets) in enumerate(data):
        optimizer.param_groups[0]["lr"] = recipe.learning_rate(step // len(data))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        recorder.step()
        optimizer.step()
    return ranker.predict(recorder.trajectory(), modality)


class Shared(nn.Module):
    """One layer used twice, another whose weight is a third's."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.tied, self.head = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.tied.weight = self.twice.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.tied(self.twice(self.twice(x.flatten(1)).relu()).relu()).relu())


def deep(depth: int) -> nn.Module:
    return nn.Sequential(*[layer for _ in range(depth - 1) for layer in (nn.Linear(5, 5), nn.Tanh())], nn.Linear(5, 3))


def wide() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 120, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(120, 3))


def frozen() -> nn.Module:
    model = deep(3)
    model[0].requires_grad_(False)
    return model


NETWORKS = {
    "sequences": (lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)), (2, 8)),
    "volumes": (lambda: nn.Sequential(nn.Conv3d(1, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(108, 3)), (1, 4, 4, 4)),
    "large images": (wide, (3, 40, 56)),
    "one layer": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(5, 3)), (5,)),
    "80 layers": (lambda: deep(80), (5,)),
    "shared weights": (Shared, (5,)),
    "a frozen layer": (frozen, (5,)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_ranking_equals_a_loop_of_ones_own(ranker: Predictor, name: str) -> None:
    build, shape = NETWORKS[name]
    torch.manual_seed(3)
    model = build()
    place = one(ranker, model, batches(*shape))
    assert place.failure is None
    assert place.predicted_accuracy == pytest.approx(by_hand(ranker, model, batches(*shape)), abs=1e-5)
    assert place.spread is not None


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        lambda m: torch.compile(m, backend="eager"),
        lambda m: Fabric(accelerator="cpu", devices=1, precision="bf16-mixed").setup_module(m),  # trained in float32
    ],
)
def test_a_wrapped_network_is_ranked_as_the_bare_one(ranker: Predictor, wrap) -> None:
    model = deep(3)
    bare = one(ranker, model, batches(5)).predicted_accuracy
    assert one(ranker, wrap(model), batches(5)).predicted_accuracy == bare


def test_lazy_layers_are_built_from_the_first_batch(ranker: Predictor) -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(3))
    place = one(ranker, model, batches(1, 5, 5), seed=7)
    assert place.failure is None
    assert nn.parameter.is_lazy(model[0].weight)  # only the copy was built
    built = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(3)).eval()
    torch.manual_seed(7)
    built(batches(1, 5, 5)[0][0])
    assert place.predicted_accuracy == pytest.approx(by_hand(ranker, built, batches(1, 5, 5)), abs=1e-5)


class KeepsItsNorm(nn.Sequential):
    """Its `train` returns nothing, as many that freeze their normalisation have it."""

    def train(self, mode: bool = True) -> None:
        super().train(mode)
        self[1].eval()


def test_a_network_whose_train_returns_nothing_is_trained_all_the_same(ranker: Predictor) -> None:
    lazy = KeepsItsNorm(nn.LazyLinear(4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    built = KeepsItsNorm(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    assert one(ranker, lazy, batches(5)).failure is None
    ranked = one(ranker, built, batches(5)).predicted_accuracy
    assert ranked == pytest.approx(by_hand(ranker, built, batches(5)), abs=1e-5)


def test_gradients_alone_can_be_asked_for(ranker: Predictor) -> None:
    model = deep(3)
    place = one(ranker, model, batches(5), modality="gradients")
    assert place.predicted_accuracy == pytest.approx(by_hand(ranker, model, batches(5), "gradients"), abs=1e-5)
    assert place.spread is None


def test_progress_is_told_batch_by_batch(ranker: Predictor) -> None:
    seen: list[tuple[str, int]] = []
    one(ranker, deep(2), batches(5), on_batch=lambda name, done: seen.append((name, done)))
    assert seen == [("net", 1), ("net", 2), ("net", 3), ("net", 4)]


class Tuples(nn.Linear):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        return super().forward(x), x


class Images(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[:, :, None]


def all_frozen() -> nn.Module:
    return deep(2).requires_grad_(False)


def pruned() -> nn.Module:
    model = deep(2)
    prune.l1_unstructured(model[0], "weight", 0.5)
    return model


class Remembers(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = super().forward(x)
        return self.seen


def called() -> nn.Module:
    model = Remembers(5, 3)
    model(torch.randn(2, 5))
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Tuples(5, 3), "forward returned a tuple; wrap the network so that it returns its logits alone"),
        (Images(5, 3), "forward returned [6, 3, 1] for 6 inputs; it must return logits [batch, classes]"),
        (nn.Linear(5, 1), "forward returned [6, 1] for 6 inputs; it must return logits [batch, classes], of two"),
        (pruned(), "The weight of layer '0' is computed from other parameters (weight norm, pruning"),
        (called(), "it cannot be copied; make it anew if it keeps tensors of an earlier forward pass (RuntimeError"),
        (nn.Linear(5, 2), "label 2 occurs, but the network has 2 outputs, for labels from 0 to 1"),
        (nn.Linear(4, 3), "mat1 and mat2 shapes cannot be multiplied (6x5 and 4x3)"),
        (all_frozen(), "every parameter is frozen"),
        (nn.Flatten(), "Flatten has no layer to record; give a network with one of those that NAP2 reads: Conv1d"),
        (nn.Linear(5, 3).half(), "RuntimeError"),
    ],
)
def test_a_network_that_cannot_be_ranked_says_why(ranker: Predictor, model: nn.Module, message: str) -> None:
    place = one(ranker, model, batches(5))
    assert place.predicted_accuracy is None
    assert message in place.failure
    assert "\n" not in place.failure


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "The loader gives no batch"),
        (
            [{"image": torch.zeros(2, 5)}],
            r"A batch must be two tensors, .*the loader gave a dict; .* record your own loop \(predictor.recorder\)",
        ),
        ([(torch.zeros(2, 5),)], r"the loader gave 1 \(Tensor\); wrap a Dataset in a DataLoader"),
        ([(torch.zeros(2, 5), [0, 1])], r"the loader gave 2 \(Tensor, list\)"),
        (torch.utils.data.TensorDataset(torch.zeros(2, 5), torch.arange(2)), r"targets \[\]; wrap a Dataset in"),
        ([(torch.zeros(2, 5), torch.zeros(3).long())], "has 2 inputs, but 3 targets"),
        ([(torch.zeros(2, 5), torch.tensor([0, -1]))], "class indices from 0, one for each input.* smallest -1"),
        (
            [(torch.tensor(1.0), torch.zeros(2).long())],
            r"must hold at least one input; .* inputs \[\] and",
        ),
        ([(torch.zeros(0, 5), torch.zeros(0).long())], r"must hold at least one input; .* inputs \[0, 5\] and targets"),
        ([(torch.zeros(2, 5), torch.zeros(2, 3).long())], r"class indices from 0, one for each input.*\[2, 3\]"),
        (
            [(torch.zeros(2, 5), torch.tensor([0.0, 2.0]))],
            r"integer type.* torch.float32 \[2\] that begin with \[0.0, 2.0\]",
        ),
        (
            [(torch.zeros(2, 5), torch.full((2, 1), 1 / 3))],
            r"probabilities \[inputs, classes\] that sum to 1; .* \[0.333, 0.333\]",
        ),
        ([(torch.zeros(2, 5), torch.tensor([[1.0, 1, 0], [0, 1, 0]]))], "sum to 1; .* your own loop"),
        ([(torch.zeros(2, 5), torch.tensor([[2.0, -1], [0, 1]]))], "sum to 1; .* your own loop"),
        ([(torch.zeros(2, 5), torch.full((2, 3), torch.nan))], "sum to 1; .* your own loop"),
    ],
)
def test_a_loader_that_gives_something_else_is_refused(ranker: Predictor, data: list, message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        ranker.rank({"net": deep(2)}, data, 2)
    assert "\n" not in str(caught.value)


class InPlace(nn.Sequential):
    """Writes into its inputs before it reads them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.mul_(0.5))


class Halving(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x * 0.5)


def test_a_network_that_writes_into_its_inputs_changes_nobodys_batches(ranker: Predictor) -> None:
    torch.manual_seed(0)
    model, data = nn.Linear(5, 3), batches(5, count=1)
    models = {"a": InPlace(model), "b": Halving(model), "lazy": InPlace(nn.LazyLinear(3))}
    places = {place.name: place for place in ranker.rank(models, data, 4)}
    assert [place.failure for place in places.values()] == [None] * 3
    assert places["a"].predicted_accuracy == places["b"].predicted_accuracy
    assert torch.equal(data[0][0], batches(5, count=1)[0][0])


class Complex(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.phase, self.head = nn.Parameter(torch.ones(5, dtype=dtype)), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((x * self.phase).real)


@pytest.mark.parametrize("recipe", ["nasbench201", "nasbench201_adamw"])
def test_parameters_and_gradients_that_torch_does_not_fuse_are_trained_all_the_same(
    ranker: Predictor, recipe: str
) -> None:
    words = [(torch.randint(0, 20, (6, 4)), torch.arange(6) % 3)]
    sparse, dense = (
        nn.Sequential(nn.Embedding(20, 5, sparse=s), nn.Flatten(), nn.Linear(20, 3)) for s in (True, False)
    )
    sparse.load_state_dict(dense.state_dict())
    found = [one(ranker, model, words, recipe=recipe) for model in (sparse, dense)]
    assert [place.failure for place in found] == [None, None]
    assert found[0].predicted_accuracy == pytest.approx(found[1].predicted_accuracy, abs=1e-6)
    assert one(ranker, Complex(torch.complex64), batches(5), recipe=recipe).failure is None


class Experts(nn.Module):
    """The second expert, and with it its gradients, is first asked at the third batch."""

    def __init__(self) -> None:
        super().__init__()
        self.experts, self.head, self.asked = nn.ModuleList(nn.Linear(5, 5) for _ in range(2)), nn.Linear(5, 3), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.asked += 1
        return self.head(self.experts[self.asked > 2](x).relu())


def test_gradients_that_come_later_than_others_are_trained_on_as_any(ranker: Predictor) -> None:
    torch.manual_seed(0)
    model, copied = Experts(), Experts()
    copied.load_state_dict(model.state_dict())
    place = one(ranker, model, batches(5))
    assert place.failure is None
    recorder = nap2.SnapshotRecorder(copied, every=2)
    optimizer = torch.optim.SGD(copied.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    for inputs, targets in batches(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(copied(inputs), targets).backward()
        recorder.step()
        optimizer.step()
    assert place.predicted_accuracy == pytest.approx(ranker.predict(recorder.trajectory()), abs=1e-6)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_ranking_trains_also_where_gradients_are_off(ranker: Predictor, mode) -> None:
    model = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    expected = one(ranker, model, batches(5)).predicted_accuracy
    with mode():
        assert one(ranker, model, batches(5)).predicted_accuracy == expected
        made_here = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
        made_here.load_state_dict(model.state_dict())
        assert one(ranker, made_here, batches(5)).predicted_accuracy == expected


def test_autocast_around_a_ranking_does_not_reach_its_backward(ranker: Predictor) -> None:
    model = deep(2)
    expected = one(ranker, model, batches(5)).predicted_accuracy
    with torch.autocast("cpu", torch.bfloat16):
        assert one(ranker, model, batches(5)).predicted_accuracy == expected


def test_labels_of_few_bits_and_class_probabilities_are_fine(ranker: Predictor) -> None:
    model = deep(2)
    expected = one(ranker, model, batches(5)).predicted_accuracy
    for kind in (torch.uint8, torch.uint16):
        small = [(inputs, targets.to(kind)) for inputs, targets in batches(5)]
        assert one(ranker, model, small).predicted_accuracy == expected
    soft = [(inputs, nn.functional.one_hot(targets, 3).float()) for inputs, targets in batches(5)]
    assert one(ranker, model, soft).predicted_accuracy == pytest.approx(expected, abs=1e-5)


def test_probabilities_of_another_number_of_classes_are_refused(ranker: Predictor) -> None:
    soft = [(torch.randn(6, 5), torch.full((6, 4), 0.25))]
    place = one(ranker, deep(2), soft)
    assert "the targets are probabilities of 4 classes, but the network has 3 outputs" in place.failure


def test_what_is_unlike_the_training_runs_stands_beside_the_score_and_is_not_warned_of(ranker: Predictor) -> None:
    recorder = nap2.SnapshotRecorder(deep(3), every=2)
    for _ in range(2):
        recorder.model(batches(5)[0][0]).sum().backward()
        recorder.step()
    setting = {"recipe": RECIPES["nasbench201"].as_dict()}
    predictor = random_predictor(every=2, num_snapshots=3, scope=scope_of([recorder.trajectory()]), setting=setting)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        place = one(predictor, deep(4), batches(5), recipe="nasbench201_adamw")
    assert place.failure is None
    texts = "\n".join(place.warnings)
    assert "it was trained with adamw at lr 0.001" in texts
    assert "it has 4 convolutions and linear layers" in texts
    assert len(place.warnings) == len(set(place.warnings))


def test_the_recipe_may_be_ones_own_or_the_predictors(ranker: Predictor) -> None:
    model, data = deep(3), batches(5)
    predictor = random_predictor(every=2, num_snapshots=3, setting={"recipe": DIGITS.as_dict()})
    named = one(predictor, model, data, recipe="digits")
    for recipe in (DIGITS, None):
        assert one(predictor, model, data, recipe=recipe).predicted_accuracy == named.predicted_accuracy
    assert one(predictor, model, data).predicted_accuracy == named.predicted_accuracy


def test_where_a_predictor_names_no_recipe_the_published_one_is_used_and_said(ranker: Predictor) -> None:
    model = deep(3)
    place = one(ranker, model, batches(5))
    named = one(ranker, model, batches(5), recipe="nasbench201")
    assert place.predicted_accuracy == named.predicted_accuracy
    (text,) = place.warnings
    assert text == "the predictor does not say how its own networks were trained; this one was by recipe nasbench201"


def test_mini_batches_of_another_size_than_the_training_runs_are_pointed_out() -> None:
    predictor = random_predictor(every=2, num_snapshots=3, setting={"recipe": DIGITS.as_dict()})
    data = torch.randn(128, 5), torch.arange(128) % 3
    found = {size: one(predictor, deep(3), [tuple(part[:size] for part in data)]) for size in (31, 32, 64, 128)}
    (text,) = found[31].warnings
    assert text == "its mini-batches hold 31 inputs, those of the networks that the predictor was trained on 64"
    assert [found[size].warnings for size in (32, 64, 128)] == [()] * 3


def test_a_ranking_prints_its_spread() -> None:
    line = str(Ranking(1, "net", 0.9123, None, 100, 2.0, spread=0.0123))
    assert line == "  1   91.23 % ± 1.23  net  (100 mini-batches, 2.0 s)"
