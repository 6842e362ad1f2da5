import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes_predictor import random_predictor, random_trajectory
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nap2
from nap2.checkpoint import load_checkpoint, save_checkpoint
from nap2.errors import CheckpointError, ConfigError, NetworkError, UnknownNameError
from nap2.inference import Predictor, Ranking


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return random_predictor()


@pytest.fixture(scope="module")
def folder(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    predictor.save(folder, "# A predictor\n", dataset="none")
    return folder


def test_a_loaded_predictor_predicts_bit_by_bit_what_the_saved_one_did(predictor: Predictor, folder: Path) -> None:
    loaded = nap2.Predictor.from_pretrained(folder)
    for trajectory in (random_trajectory(1), random_trajectory(5, seed=3, units=(16, 120, 10))):
        assert loaded.predict(trajectory) == predictor.predict(trajectory)
        assert torch.equal(loaded.embed(trajectory), predictor.embed(trajectory))
    assert (loaded.every, loaded.num_snapshots, loaded.spec["dataset"]) == (100, 5, "none")


def test_a_prediction_is_the_networks_on_the_embedding(predictor: Predictor) -> None:
    trajectory = random_trajectory(3)
    embedding = predictor.embed(trajectory)
    assert embedding.shape == (3, 256)
    with torch.no_grad():
        expected = float(predictor.heads["both"][0](embedding[None]))
    assert predictor.predict(trajectory) == pytest.approx(expected, abs=1e-6)
    assert 0 <= expected <= 1


def test_many_are_predicted_as_each_alone(predictor: Predictor) -> None:
    trajectories = [random_trajectory(k, seed=k, units=(4,) * k) for k in (2, 5, 1)]
    expected = [predictor.predict(t) for t in trajectories]
    assert predictor.predict_many(trajectories) == pytest.approx(expected, abs=1e-6)
    assert predictor.predict_many([]) == []


def test_many_may_come_from_a_generator_and_one_is_not_many(predictor: Predictor) -> None:
    several = [random_trajectory(2, seed=seed) for seed in (0, 1)]
    assert predictor.predict_many(trajectory for trajectory in several) == predictor.predict_many(several)
    for wrong, kind in ((several[0], "a Trajectory"), (None, "None")):
        with pytest.raises(CheckpointError, match=f"reads a list of trajectories, not {kind}; predict reads one"):
            predictor.predict_many(wrong)


def test_autocast_around_a_prediction_changes_nothing(predictor: Predictor) -> None:
    trajectory = random_trajectory(3)
    predicted, embedded = predictor.predict(trajectory), predictor.embed(trajectory)
    with torch.autocast("cpu", torch.bfloat16):
        assert predictor.predict(trajectory) == predicted
        assert torch.equal(predictor.embed(trajectory), embedded)


def test_a_predictors_own_recorder_takes_what_it_reads_and_no_more() -> None:
    predictor, model = random_predictor(every=2, num_snapshots=1), nn.Linear(5, 3)
    recorder = predictor.recorder(model)
    for _ in range(5):
        model(torch.randn(4, 5)).square().sum().backward()
        recorder.step()
    assert 0 < predictor.predict(recorder.trajectory()) < 1


def broken_trajectory() -> nap2.Trajectory:
    trajectory = random_trajectory(1)
    trajectory.values[0, 1, 3] = torch.nan
    return trajectory


@pytest.mark.parametrize(
    ("trajectory", "message"),
    [
        (random_trajectory(2, every=10), "reads a snapshot every 100 steps.*one every 10; record it with every=100"),
        (random_trajectory(6), r"reads 1 to 5 snapshots, the trajectory holds 6; pass trajectory.first\(5\)"),
        (random_trajectory(0), "reads 1 to 5 snapshots, the trajectory holds 0"),
        (nn.Sequential(), "reads a Trajectory, not a Sequential; pass recorder.trajectory()"),
        (broken_trajectory(), "holds values that are not finite; record it again"),
    ],
)
def test_a_trajectory_that_does_not_fit_is_refused_in_one_line(predictor: Predictor, trajectory, message) -> None:
    for ask in (predictor.predict, predictor.embed, lambda t: predictor.predict_many([random_trajectory(1), t])):
        with pytest.raises(CheckpointError, match=message) as caught:
            ask(trajectory)
        assert "\n" not in str(caught.value)


def test_a_name_is_looked_up_in_the_variable_then_beside_the_package(folder: Path, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("nap2.inference.lookup.BESIDE", folder.parent)
    monkeypatch.setenv("NAP2_CHECKPOINTS", str(tmp_path))
    assert Predictor.from_pretrained("tiny").spec["dataset"] == "none"
    random_predictor(every=7).save(tmp_path / "tiny", "")
    assert Predictor.from_pretrained("tiny").every == 7
    with pytest.raises(UnknownNameError, match=r"No checkpoint in .* is called 'tinny'. Did you mean 'tiny'?"):
        Predictor.from_pretrained("tinny")


def test_a_home_is_found_wherever_a_place_is_named(folder: Path, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setattr("nap2.inference.lookup.BESIDE", tmp_path)
    assert Predictor.from_pretrained("~/tiny").spec["dataset"] == "none"
    monkeypatch.setenv("NAP2_CHECKPOINTS", "~")
    Predictor.from_pretrained("tiny").save("~/copy", "")
    random_trajectory(1).save("~/t.safetensors")
    assert Predictor.from_pretrained(folder.parent / "copy").spec["dataset"] == "none"
    assert len(nap2.Trajectory.load("~/t.safetensors")) == 1
    assert (folder.parent / "t.safetensors").is_file()


@pytest.mark.parametrize("name", [None, "", 5, ["tiny"]])
def test_what_names_no_predictor_is_refused(name) -> None:
    with pytest.raises(CheckpointError, match=r"Asked for the predictor .*; give the name of one"):
        Predictor.from_pretrained(name)


def test_a_folder_that_is_no_predictor_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"No checkpoint at .*nowhere: found nothing"):
        Predictor.from_pretrained(tmp_path / "nowhere")
    save_checkpoint(tmp_path / "cae", {"encoder": {}}, {"kind": "cae"}, "")
    with pytest.raises(CheckpointError, match=r"Asked for a checkpoint of kind 'predictor', but .* is a 'cae'"):
        Predictor.from_pretrained(tmp_path / "cae")


def test_components_that_do_not_fit_are_refused(folder: Path) -> None:
    spec, tensors = load_checkpoint(folder)
    for change, message in (
        ({"weights_encoder": None}, "lacks weights_encoder"),
        ({"head_both_0": {"x": torch.zeros(1)}}, "lacks the tensors of its GRU"),
        (
            {"gradients_encoder": {**tensors["gradients_encoder"], "conv3.bias": torch.zeros(3)}},
            r"'conv3.bias' of gradients",
        ),
    ):
        changed = {name: state for name, state in {**tensors, **change}.items() if state is not None}
        with pytest.raises(CheckpointError, match=message):
            Predictor.assemble(changed, spec)
    with pytest.raises(CheckpointError, match="needs 'every', a whole number from 1, and holds None"):
        Predictor.assemble(tensors, {**spec, "every": None})


def test_a_shell_completes_the_public_names_and_all_of_them_are_there() -> None:
    names = set(dir(nap2))
    assert {"Predictor", "Ranking", "SnapshotRecorder", "Trajectory", "training", "feature_maps"} <= names
    assert all(hasattr(nap2, name) for name in names)


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("training", "RecorderCallback"),
        ("feature_maps", "feature_map"),
        ("spaces", "SPACES"),
        ("baselines", "score_network"),
    ],
)
def test_the_public_packages_are_reached_from_nap2_itself(
    package: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(nap2, package, raising=False)  # as before anything else has imported it
    assert hasattr(getattr(nap2, package), name)
    with pytest.raises(AttributeError, match="has no attribute 'trainings'"):
        nap2.trainings  # noqa: B018  # looked up


TORCH_ALONE = """
import sys, warnings
warnings.simplefilter("ignore")
TORCH_NEEDS = "torchgen functorch sympy mpmath networkx jinja2 markupsafe fsspec filelock typing_extensions"
KNOWN = {*sys.stdlib_module_names, *TORCH_NEEDS.split(), "torch", "safetensors", "nap2", "stranger"}
from importlib.machinery import PathFinder
class Only(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        known = name.split(".")[0] in KNOWN or name.startswith("_sysconfigdata")
        return super().find_spec(name, path, target) if known else None
sys.meta_path[:] = [Only if finder is PathFinder else finder for finder in sys.meta_path]
"""
PREDICT_ALONE = """
import nap2
trajectory = nap2.Trajectory.load(sys.argv[2])
print(repr(nap2.Predictor.from_pretrained(sys.argv[1]).predict(trajectory)))
import torch
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
recorder = nap2.SnapshotRecorder(model, every=1)
model(torch.zeros(2, 4)).sum().backward()
recorder.step()
recorder.trajectory().save(sys.argv[3])
assert len(nap2.Trajectory.load(sys.argv[3])) == 1
nap2.Predictor.from_pretrained(sys.argv[1]).save(sys.argv[4], "")
nap2.Predictor.from_pretrained(sys.argv[4])
"""
STRANGER = """
import torch
from torch import nn
MODELS = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)),
    "conv": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)),
    "deep": lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)),
}
DATA = torch.utils.data.TensorDataset(torch.randn(24, 1, 4, 4), torch.arange(24) % 3)
"""
RANK_ALONE = """
from nap2.inference.command_line import main
sys.exit(main(["rank", sys.argv[1], "--models", "stranger:MODELS", "--data", "stranger:DATA", "--batch-size", "8",
               "--recipe", "nasbench201", "--device", "cpu", "--json"]))
"""


def test_loading_predicting_recording_and_saving_need_torch_and_safetensors_alone(
    predictor: Predictor, folder: Path, tmp_path: Path
) -> None:
    trajectory = random_trajectory(3)
    trajectory.save(tmp_path / "t.safetensors")
    places = [folder, *(tmp_path / name for name in ("t.safetensors", "own.safetensors", "copy"))]
    command = [sys.executable, "-c", TORCH_ALONE + PREDICT_ALONE, *map(str, places)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) == pytest.approx(predictor.predict(trajectory), abs=1e-6)


@pytest.mark.slow
def test_ranking_three_models_needs_torch_and_safetensors_alone(tmp_path: Path) -> None:
    random_predictor(every=2, num_snapshots=3, num_heads=2).save(tmp_path / "tiny", "", bits=16)
    (tmp_path / "stranger.py").write_text(STRANGER)
    command = [sys.executable, "-c", TORCH_ALONE + RANK_ALONE, str(tmp_path / "tiny")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    ranking = json.loads(result.stdout)["ranking"]
    assert {place["name"] for place in ranking} == {"linear", "conv", "deep"}
    assert all(0 < place["predicted_accuracy"] < 1 and place["spread"] > 0 for place in ranking)


def small_net(width: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(3))


def ready(net: nn.Module) -> nn.Module:
    net(torch.zeros(2, 1, 4, 4))
    return net


def loader(**options) -> DataLoader:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(24, 1, 4, 4, generator=generator)
    return DataLoader(TensorDataset(images, torch.arange(24) % 3), batch_size=4, **options)


@pytest.fixture(scope="module")
def ranker() -> Predictor:
    return random_predictor(every=2, num_snapshots=6)


class Exploding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.flatten(1)) * torch.nan


class Failing(Exploding):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no forward\nhere")


def test_models_are_ranked_best_first_and_left_untouched(ranker: Predictor) -> None:
    models = {f"w{width}": ready(small_net(width)) for width in (2, 5, 3)}
    before = {name: {k: v.clone() for k, v in model.state_dict().items()} for name, model in models.items()}
    state = torch.get_rng_state()
    ranking = ranker.rank(models, loader(shuffle=True), query_batches=8)
    assert torch.equal(torch.get_rng_state(), state)
    assert [r.rank for r in ranking] == [1, 2, 3]
    accuracies = [r.predicted_accuracy for r in ranking]
    assert accuracies == sorted(accuracies, reverse=True)
    assert {r.name for r in ranking} == models.keys()
    assert all(r.failure is None and r.query_batches == 8 and r.query_time_s > 0 for r in ranking)
    for name, model in models.items():
        torch.testing.assert_close(model.state_dict(), before[name], rtol=0, atol=0)
        assert all(parameter.grad is None for parameter in model.parameters())


def test_a_prediction_does_not_depend_on_company_or_order(ranker: Predictor) -> None:
    models = {f"w{width}": ready(small_net(width)) for width in (2, 5)}
    for batches in (loader(shuffle=True), loader(shuffle=True, generator=torch.Generator().manual_seed(5))):
        together = {r.name: r.predicted_accuracy for r in ranker.rank(models, batches, 8)}
        for name in models:
            (alone,) = ranker.rank({name: models[name]}, batches, 8)
            assert alone.predicted_accuracy == together[name]


def test_a_ranking_equals_a_loop_written_by_hand(ranker: Predictor) -> None:
    batches = list(loader())
    (ranked,) = ranker.rank({"net": ready(small_net(2))}, batches, 4, recipe="nasbench201_adamw", seed=7)
    net = ready(small_net(2)).train()
    recorder = nap2.SnapshotRecorder(net, every=2)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=5e-2)
    torch.manual_seed(7)
    for images, labels in batches[:4]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        recorder.step()
        optimizer.step()
    assert ranked.predicted_accuracy == pytest.approx(ranker.predict(recorder.trajectory()), abs=1e-4)


def test_failures_come_last_with_their_reason(ranker: Predictor) -> None:
    models = {"nan": Exploding(), "bad": Failing(), "empty": nn.Flatten(), "good": ready(small_net(2))}
    ranking = ranker.rank(models, loader(), 2)
    assert [r.name for r in ranking] == ["good", "nan", "bad", "empty"]
    assert [r.predicted_accuracy is None for r in ranking] == [False, True, True, True]
    assert ranking[1].failure == "diverged: the loss was nan at mini-batch 1"
    assert ranking[2].failure == "RuntimeError: no forward here"
    assert ranking[3].failure.startswith("NetworkError: ")
    assert [str(r).split()[0] for r in ranking] == ["1", "2", "3", "4"]


def test_what_is_no_network_keeps_its_place_and_what_has_no_names_is_refused(ranker: Predictor) -> None:
    found = ranker.rank({"class": nn.Identity, "good": ready(small_net(2))}, loader(), 2)
    assert [place.name for place in found] == ["good", "class"]
    assert found[1].failure.startswith("NetworkError: a type is no torch module")
    with pytest.raises(NetworkError, match=r"pass a dictionary \{name: model\}, not a list"):
        ranker.rank([small_net(2)], loader(), 2)


def test_an_iterator_is_read_once_and_shown_to_all(ranker: Predictor) -> None:
    models = {"a": ready(small_net(2)), "b": ready(small_net(2))}
    ranking = ranker.rank(models, iter(loader()), 4)
    assert ranking[0].predicted_accuracy == ranking[1].predicted_accuracy


def test_a_loader_shorter_than_the_query_starts_again(ranker: Predictor) -> None:
    batches = list(loader())[:2]
    models = {"net": ready(small_net(2))}
    twice = ranker.rank(models, batches * 2, 4)[0].predicted_accuracy
    assert ranker.rank(models, batches, 4)[0].predicted_accuracy == pytest.approx(twice, abs=1e-6)


class Changing:
    def __init__(self) -> None:
        self.calls = 0

    def __iter__(self):
        self.calls += 1
        yield from [(torch.full((2, 1, 4, 4), float(self.calls)), torch.tensor([0, 1]))] * 4


def test_a_loader_that_gives_other_batches_is_refused(ranker: Predictor) -> None:
    models = {"a": ready(small_net(2)), "b": ready(small_net(2))}
    with pytest.raises(NetworkError, match=r"another batch 1 the second time.*pass a list of batches"):
        ranker.rank(models, Changing(), 2)
    with pytest.raises(NetworkError, match="gives no batch"):
        ranker.rank(models, [], 2)


@pytest.mark.parametrize("query_batches", [0, 1, 7, 13, 14])
def test_a_query_that_does_not_fit_is_refused_before_any_training(ranker: Predictor, query_batches: int) -> None:
    with pytest.raises(CheckpointError, match=f"after {query_batches} mini-.*reads 2 to 12 in steps of 2"):
        ranker.rank({"bad": Failing()}, [], query_batches)


@pytest.mark.parametrize("options", [{"seed": None}, {"seed": 1.5}, {"seed": 2**64}])
def test_a_seed_that_is_none_is_refused_and_no_network_blamed(ranker: Predictor, options: dict) -> None:
    with pytest.raises(CheckpointError, match=r"Asked to rank with seed=.*; give a whole number"):
        ranker.rank({"net": nn.Linear(4, 3)}, loader(), **options)


@pytest.mark.parametrize("options", [{"recipe": {"lr": 0.1}}, {"recipe": 5}, {"modality": ["both"]}, {"modality": 5}])
def test_what_names_no_recipe_or_modality_is_refused_in_one_line(ranker: Predictor, options: dict) -> None:
    with pytest.raises(
        (ConfigError, UnknownNameError), match=r"A recipe is a Recipe|No modality .* Known: both"
    ) as caught:
        ranker.rank({"net": nn.Linear(4, 3)}, loader(), **options)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_is_refused(ranker: Predictor) -> None:
    with pytest.raises(UnknownNameError, match="No recipe is called 'nasbench'"):
        ranker.rank({}, [], 2, recipe="nasbench")


def test_a_ranking_prints_as_one_line() -> None:
    assert str(Ranking(1, "net", 0.9123, None, 100, 2.0)) == "  1   91.23 %  net  (100 mini-batches, 2.0 s)"
