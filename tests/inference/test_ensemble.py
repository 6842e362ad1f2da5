"""A released predictor: one folder, one pair of encoders, several heads, half precision, single modalities."""

import json
from pathlib import Path
from statistics import mean, stdev

import pytest
import torch
from fakes_predictor import random_predictor, random_trajectory

from nap2.checkpoint import FORMAT_VERSION, load_checkpoint, save_checkpoint
from nap2.errors import CheckpointError, UnknownNameError
from nap2.inference import Predictor
from nap2.inference.components import as_components
from nap2.inference.narrow import narrowed, widened
from nap2.models.bigru import BiGRUPredictor
from nap2.models.linear_encoder import LinearEncoder

TRAJECTORIES = [random_trajectory(1 + seed % 5, seed=seed, units=(4, 8, 12)[: 1 + seed % 3]) for seed in range(60)]


@pytest.fixture(scope="module")
def ensemble() -> Predictor:
    return random_predictor(num_heads=3, gradients_alone=True)


@pytest.fixture(scope="module")
def half(ensemble: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("half") / "ensemble"
    ensemble.save(folder, "# Ensemble\n", bits=16)
    return folder


@pytest.fixture(scope="module")
def eighth(ensemble: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eight") / "ensemble"
    ensemble.save(folder, "# Ensemble\n", bits=8)
    return folder


def test_a_prediction_is_the_mean_of_the_heads_and_its_spread_their_deviation(ensemble: Predictor) -> None:
    trajectory = random_trajectory(3)
    embedding = ensemble.embed(trajectory)[None]
    with torch.no_grad():
        alone = [float(net(embedding)) for net in ensemble.heads["both"]]
    prediction = ensemble.predict_with_spread(trajectory)
    assert len(set(alone)) == 3
    assert prediction.accuracy == pytest.approx(mean(alone), abs=1e-6)
    assert prediction.spread == pytest.approx(stdev(alone), abs=1e-6)
    assert ensemble.predict(trajectory) == pytest.approx(prediction.accuracy, abs=1e-7)


def test_a_single_head_has_no_spread() -> None:
    assert random_predictor().predict_with_spread(random_trajectory(2)).spread is None


def test_gradients_alone_are_read_by_their_own_heads(ensemble: Predictor) -> None:
    trajectory = random_trajectory(3)
    assert ensemble.modalities == ("both", "gradients")
    with torch.no_grad():
        expected = float(ensemble.heads["gradients"][0](ensemble.embed(trajectory)[None, :, 128:]))
    assert ensemble.predict(trajectory, modality="gradients") == pytest.approx(expected, abs=1e-6)
    with pytest.raises(UnknownNameError, match=r"No modality of this predictor is called 'weights'.*both, gradients"):
        ensemble.predict(trajectory, modality="weights")


@pytest.mark.parametrize(("bits", "bytes_each"), [("half", 2), ("eighth", 1)])
def test_fewer_bits_make_the_folder_smaller_and_leave_the_ranks(
    ensemble: Predictor, bits: str, bytes_each: int, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(bits)
    loaded = Predictor.from_pretrained(folder)
    whole, read = (torch.tensor(p.predict_many(TRAJECTORIES)) for p in (ensemble, loaded))
    assert len(set(whole.tolist())) == len(TRAJECTORIES)
    assert not torch.equal(whole, read)
    assert _agreement(whole, read) > (0.999 if bits == "half" else 0.99)
    nets = (loaded.weights_encoder, loaded.gradients_encoder, *loaded.heads["both"])
    assert {parameter.dtype for net in nets for parameter in net.parameters()} == {torch.float32}
    entries = sum(p.numel() for net in nets for p in net.parameters())
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1.1 * bytes_each * entries


def _agreement(first: torch.Tensor, second: torch.Tensor) -> float:
    """Kendall's tau of two predictions without ties."""
    signs = [torch.sign(p[:, None] - p[None]) for p in (first, second)]
    return float((signs[0] * signs[1]).sum() / (len(first) * (len(first) - 1)))


def test_the_spec_says_what_each_component_is(half: Path) -> None:
    spec = json.loads((half / "spec.json").read_text())
    assert spec["format_version"] == FORMAT_VERSION == 2
    assert spec["encoders"] == {"weights": {"kind": "cae"}, "gradients": {"kind": "cae"}}
    assert [(head["modality"], head["component"]) for head in spec["heads"]] == [
        ("both", "head_both_0"),
        ("both", "head_both_1"),
        ("both", "head_both_2"),
        ("gradients", "head_gradients_0"),
    ]
    assert spec["components"]["weights_encoder"]["tensors"]["conv2.weight"][0] == "float16"
    assert spec["components"]["weights_encoder"]["tensors"]["conv2.bias"][0] == "float32"


def test_narrowing_and_widening() -> None:
    matrix = torch.randn(1000, 1000)
    state = {"matrix": matrix, "vector": torch.randn(4), "large": torch.full((2, 2), 1e6), "dead": matrix * 0}
    state["whole"] = torch.ones(2, 2).long()
    half, eight = narrowed(state, 16), narrowed(state, 8)
    names = ("matrix", "vector", "large", "whole")
    assert [half[name].dtype for name in names] == [torch.float16, torch.float32, torch.float32, torch.int64]
    assert [eight[name].dtype for name in names] == [torch.int8, torch.float32, torch.float32, torch.int64]
    torch.testing.assert_close(widened(half)["matrix"], matrix, rtol=2**-11, atol=1e-7)
    step = matrix.abs().amax(1, keepdim=True) / 127
    assert ((widened(eight)["matrix"] - matrix).abs() <= step / 2 * (1 + 1e-5)).all()
    for small in (half, eight):
        wide = widened(small)
        assert wide.keys() == state.keys()
        assert torch.equal(wide["dead"], state["dead"])
        assert torch.equal(wide["large"], state["large"])  # beyond half precision
    assert all(narrowed(state, 32)[name] is state[name] for name in state)
    with pytest.raises(CheckpointError, match="stored in 32, 16, 8 bits, not in 4"):
        narrowed(state, 4)


def test_a_folder_of_the_first_format_still_loads(ensemble: Predictor, tmp_path: Path) -> None:
    heads = {"both": ensemble.heads["both"][:1]}
    encoders = (ensemble.weights_encoder, ensemble.gradients_encoder)
    tensors, _ = as_components(encoders, heads, {"weights": "cae", "gradients": "cae"}, 32)
    old = {**tensors, "predictor": tensors["head_both_0"]}
    del old["head_both_0"]
    save_checkpoint(tmp_path / "old", old, {"kind": "predictor", "every": 100, "num_snapshots": 5}, "")
    spec = json.loads((tmp_path / "old" / "spec.json").read_text())
    (tmp_path / "old" / "spec.json").write_text(json.dumps({**spec, "format_version": 1}))
    loaded = Predictor.from_pretrained(tmp_path / "old")
    assert loaded.modalities == ("both",)
    assert loaded.predict(TRAJECTORIES[2]) == Predictor(encoders, heads, loaded.spec).predict(TRAJECTORIES[2])


def test_encoders_of_another_kind_are_named_in_the_spec_and_load(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoders = (LinearEncoder(3), LinearEncoder(5))
    for encoder in encoders:
        torch.nn.init.normal_(encoder.weight, std=0.01)
    heads = {"both": [BiGRUPredictor(8, hidden=4)], "gradients": [BiGRUPredictor(5, hidden=4)]}
    kinds = {"weights": {"kind": "linear"}, "gradients": {"kind": "pca"}}
    predictor = Predictor(encoders, heads, {"every": 100, "num_snapshots": 5, "encoders": kinds})
    predictor.save(tmp_path / "linear", "")
    loaded = Predictor.from_pretrained(tmp_path / "linear")
    assert loaded.spec["encoders"] == kinds
    for modality in ("both", "gradients"):
        assert loaded.predict(TRAJECTORIES[4], modality) == predictor.predict(TRAJECTORIES[4], modality)


def test_parts_that_do_not_belong_together_are_refused(half: Path) -> None:
    spec, tensors = load_checkpoint(half)
    for change, message in (
        ({"heads": []}, "lists no head"),
        ({"heads": [{"component": "head_both_9", "modality": "both"}]}, "lacks head_both_9"),
        ({"heads": [{"component": "head_both_0", "modality": "bath"}]}, "needs a component and a modality of both"),
        (
            {"heads": [{"component": "head_both_0", "modality": "gradients"}]},
            "A head of gradients reads embeddings of 256 numbers, the encoders give 128",
        ),
    ):
        with pytest.raises(CheckpointError, match=message) as caught:
            Predictor.assemble(tensors, {**spec, **change})
        assert "\n" not in str(caught.value)
    with pytest.raises(UnknownNameError, match="No kind of encoder is called 'vae'"):
        Predictor.assemble(tensors, {**spec, "encoders": {"weights": {"kind": "vae"}}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("every", True),
        ("num_snapshots", "3"),
        ("heads", {"a": 1}),
        ("heads", ["head_both_0"]),
        ("encoders", None),
        ("encoders", {"weights": "cae"}),
        ("setting", None),
        ("setting", {"recipe": "sgd"}),
        ("scope", None),
        ("scope", {"num_layers": [1]}),
        ("scope", {"log10_scale": {"weights": [[1.0]]}}),
    ],
)
def test_a_spec_that_was_edited_into_something_else_is_refused_in_one_line(half: Path, key: str, value: object) -> None:
    spec, tensors = load_checkpoint(half)
    with pytest.raises(CheckpointError, match=f"The spec of a predictor needs {key!r}, an? .* holds ") as caught:
        Predictor.assemble(tensors, {**spec, key: value})
    assert "\n" not in str(caught.value)
