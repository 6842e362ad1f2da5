"""`python -m nap2`: what it prints, returns and refuses; models and data by name."""

import json
from pathlib import Path

import pytest
import torch
from fakes_predictor import random_predictor
from safetensors.torch import save_file

from nap2.errors import CheckpointError, ConfigError, DataFileError, UnknownNameError
from nap2.inference import Predictor, progress
from nap2.inference.batches_from import batches_from
from nap2.inference.command_line import main
from nap2.inference.importing import import_object, models_from
from nap2.inference.ranking import Ranking
from nap2.inference.table import ranking_table
from nap2.spaces import SPACES
from nap2.training.recipe import DIGITS

MODELS = """
import torch
from torch import nn

def small(width=3):
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.Flatten(), nn.Linear(4 * width, 3))

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(16, 3))

built = Net()
ALL = {"small": small, "net": Net, "built": built}
bad = {"text": "no model"}
def needs(width): return width
def fails(): raise ValueError("no\\nmodel")
def bath(): return nn.Linear(2, 2)
def empty(): return nn.Sequential(nn.Flatten(), nn.Linear(16, 3, device="meta"))
def chatty():
    print("Files already downloaded and verified")
    return data()
pictures = [(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0]))] * 3
batches = [(torch.randn(4, 1, 4, 4), torch.tensor([0, 1, 2, 0]))] * 3
def loader(): return batches
def data(): return torch.utils.data.TensorDataset(torch.randn(12, 1, 4, 4), torch.arange(12) % 3)
def nothing(): return torch.utils.data.TensorDataset(torch.empty(0, 1, 4, 4), torch.empty(0).long())

class Stream(torch.utils.data.IterableDataset):
    def __iter__(self): return iter(data())

class Torn(torch.utils.data.Dataset):
    def __len__(self): return 12
    def __getitem__(self, index): raise OSError(f"photo {index} is torn")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    import sys

    sys.modules.pop("own_models", None)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    skeleton = {"stem_channels": 2, "cells_per_stage": 1, "num_classes": 3}
    setting = {"space": "nasbench201", "dataset": "digits", "recipe": DIGITS.as_dict(), "skeleton": skeleton}
    several = {"setting": setting, "union": {"svhn": 3}}
    random_predictor(every=2, num_snapshots=3, num_heads=2, gradients_alone=True, **several).save(folder / "tiny", "")
    random_predictor(every=2, num_snapshots=3).save(folder / "bare", "")
    return folder


@pytest.fixture
def released(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NAP2_CHECKPOINTS", str(checkpoints))
    return "tiny"


def test_alone_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert "python -m nap2 rank NAME --models my_models:small" in said
    assert "python -m nap2 list" in said


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rank", "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for sentence in ("examples:", "module:attribute", "exit codes:", "--query-batches", "logits [batch, classes]"):
        assert sentence in said


def test_predictors_are_listed_with_where_they_are(
    released: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nap2.inference.lookup.BESIDE", tmp_path / "nothing")  # those that this checkout releases
    assert main(["list"]) == 0
    bare, line = capsys.readouterr().out.splitlines()
    assert bare.startswith("bare  ? on ?, 1 head, reads 2 to 6 mini-batches  ")
    assert line.startswith(
        "tiny  nasbench201 on digits and svhn, 3 heads, 1 of gradients alone, reads 2 to 6 mini-batches  "
    )


def test_a_predictor_of_one_snapshot_reads_one_number_of_mini_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor = random_predictor(num_snapshots=1)
    predictor.save(tmp_path / "first", "A card.")
    monkeypatch.setenv("NAP2_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr("nap2.inference.lookup.BESIDE", tmp_path / "nothing")
    assert main(["list"]) == 0
    assert "reads 100 mini-batches" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match="this predictor reads 100; use query_batches=100"):
        predictor.rank({}, [], query_batches=50)


def test_no_predictor_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAP2_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr("nap2.inference.lookup.BESIDE", tmp_path / "nothing")
    assert main(["list"]) == 0
    assert "No predictor in" in (said := capsys.readouterr().out)
    assert "set $NAP2_CHECKPOINTS" in said


def test_models_are_ranked_in_a_table(here: Path, released: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", released, "--models", "own_models:ALL", "--data", "own_models:loader", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].split() == ["rank", "model", "accuracy", "spread", "mini-batches", "seconds"]
    assert [line.split()[0] for line in lines[1:4]] == ["1", "2", "3"]
    assert {line.split()[1] for line in lines[1:4]} == {"small", "net", "built"}
    assert "model 3 of 3, built: 6 of 6 mini-batches, 0:00:00 left" in printed.err
    assert "\r" not in printed.err


def test_architectures_are_ranked_as_the_networks_they_name(
    here: Path, released: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [f"|skip_connect~0|+|none~0|{name}~1|+|none~0|none~1|skip_connect~2|" for name in ("none", "nor_conv_1x1")]
    call = ["rank", released, "--data", "own_models:pictures", "--device", "cpu", "--seed", "3", "--json"]
    assert main([*call, "--archs", *cells]) == 0
    found = {place["name"]: place["predicted_accuracy"] for place in json.loads(capsys.readouterr().out)["ranking"]}
    for cell in cells:
        torch.manual_seed(3)
        network = SPACES["nasbench201"].build(cell, num_classes=3, stem_channels=2, cells_per_stage=1)
        (place,) = Predictor.from_pretrained(released).rank(
            {cell: network}, import_object("own_models:pictures"), seed=3
        )
        assert place.predicted_accuracy == found[cell]


def test_progress_tells_each_network_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lines = iter([0.0, 10.0, 31.0, 40.0, 80.0]), []
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    told = progress.ProgressLines(["a", "b"], 4, lines.append)
    for name, done in (("a", 1), ("a", 3), ("a", 4), ("b", 4)):
        told(name, done)
    assert lines == [
        "model 1 of 2, a: 3 of 4 mini-batches, 0:00:52 left",
        "model 1 of 2, a: 4 of 4 mini-batches, 0:00:40 left",
        "model 2 of 2, b: 4 of 4 mini-batches, 0:00:00 left",
    ]


def test_json_holds_the_same_ranking_as_python(here: Path, released: str, capsys: pytest.CaptureFixture[str]) -> None:
    import nap2

    arguments = ["--models", "a=own_models:small", "b=own_models:Net", "--data", "own_models:batches", "--json"]
    assert main(["rank", released, *arguments, "--query-batches", "4", "--device", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["query_batches"], found["recipe"], found["modality"]) == (4, "digits", None)
    models = models_from({"a": "own_models:small", "b": "own_models:Net"})
    batches = import_object("own_models:batches")
    expected = nap2.Predictor.from_pretrained("tiny").rank(models, batches, 4, recipe="digits")
    assert [(e["name"], e["predicted_accuracy"], e["spread"]) for e in found["ranking"]] == [
        (place.name, place.predicted_accuracy, place.spread) for place in expected
    ]


def test_a_model_that_fails_keeps_its_place_and_shows_in_the_exit_code(
    here: Path, released: str, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["own_models:small", "own_models:bath"]
    assert main(["rank", released, "--models", *models, "--data", "own_models:data", "--batch-size", "4"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:3] == ["2", "bath", "failed"]
    assert lines[3].startswith("failed: bath: RuntimeError: mat1 and mat2")


def test_what_the_users_modules_print_is_no_part_of_the_ranking(
    here: Path, released: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--models", "own_models:small", "--data", "own_models:chatty", "--batch-size", "4", "--json"]
    assert main(["rank", released, *arguments, "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["ranking"][0]["name"] == "small"
    assert "Files already downloaded" in printed.err


def test_a_model_without_values_fails_by_itself(here: Path, released: str, capsys: pytest.CaptureFixture[str]) -> None:
    models = ["own_models:empty", "own_models:small"]
    assert main(["rank", released, "--models", *models, "--data", "own_models:loader", "--device", "cpu"]) == 1
    assert "failed: empty: NetworkError: The weight of layer '1' is on the meta device" in capsys.readouterr().out


def test_a_module_that_runs_as_a_program_is_refused(here: Path) -> None:
    (here / "a_program.py").write_text("import sys\nsys.exit(2)\n")
    with pytest.raises(ConfigError, match="'a_program:Net' cannot be imported, for a_program runs as a program"):
        import_object("a_program:Net")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tinny", "--models", "own_models:small", "--data", "own_models:loader"], "Did you mean 'tiny'?"),
        (["tiny", "--archs", "|none~0|", "--data", "own_models:loader"], "a NAS-Bench-201 cell has 3; write"),
        (["bare", "--archs", "|none~0|", "--data", "own_models:loader"], "name yours by --models"),
        (["tiny", "--models", "own_models:smal", "--data", "own_models:loader"], "Did you mean 'small'?"),
        (["tiny", "--models", "small", "--data", "own_models:loader"], "write module:attribute"),
        (["tiny", "--models", "own_models:small", "--data", "nothing.npz"], "No data at"),
        (["tiny", "--models", "own_models:small", "--data", "own_models:built"], "gives a Net; name a loader"),
        (["tiny", "--models", "own_models:small", "--data", "own_models:needs"], "without arguments: TypeError"),
        (["tiny", "--models", "own_models:small", "--data", "own_models:loader", "--recipe", "sgd"], "No recipe"),
        (["tiny", "--models", "own_models:small", "--data", "own_models:data", "--query-batches", "99"], "2 to 6"),
        (["tiny", "--models", "own_models:small", "--data", "own_models:loader", "--modality", "weights"], "modality"),
        (["tiny", "--models", "own_models:ALL.small", "--data", "own_models:loader"], "dictionary is named as a whole"),
        (["tiny", "--models", "own_models:small", "--data", "own_models:nothing"], "holds no image"),
        (["tiny", "--models", "own_models:small", "--data", "own_models:Torn"], "failed at batch 1: OSError"),
        (["tiny", "--models", "own_models:small", "--data", "own_models:loader", "--device", "gpu"], "gpu cannot be"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(
    arguments: list[str], message: str, here: Path, released: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rank", *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("error: ")
    assert (printed.out, printed.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("option", ["--query-batches", "--batch-size"])
@pytest.mark.parametrize("value", ["0", "-4"])
def test_a_number_of_nothing_is_refused_and_not_taken_for_the_default(
    option: str, value: str, released: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rank", released, "--models", "own_models:small", "--data", "own_models:data", option, value])
    assert ended.value.code == 2
    assert f"argument {option}: {value} is too small" in capsys.readouterr().err


def test_a_dataset_with_an_order_of_its_own_is_read_in_it(
    here: Path, released: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--models", "own_models:small", "--data", "own_models:Stream", "--batch-size", "4", "--device", "cpu"]
    assert main(["rank", released, *arguments]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1] == "small"


def test_a_damaged_folder_does_not_hide_the_predictors_beside_it(
    released: str,
    checkpoints: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edited = json.loads((checkpoints / "tiny/spec.json").read_text()) | {"setting": None}
    for name, text in (("broken", "{"), ("edited", json.dumps(edited))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "spec.json").write_text(text)
    monkeypatch.setattr("nap2.inference.lookup.BESIDE", tmp_path)
    assert main(["list"]) == 0
    _bare, good, broken, changed = capsys.readouterr().out.splitlines()
    assert good.startswith("tiny  nasbench201 on digits")
    assert broken.startswith("broken  cannot be used: ")
    assert changed.startswith("edited  cannot be used: The spec of a predictor needs 'setting', an object")
    assert broken.endswith("copy the checkpoint again.")


def test_models_come_from_modules_classes_functions_and_mappings(here: Path) -> None:
    models = models_from(["own_models:ALL", "again=own_models:built", "own_models:Net"])
    assert list(models) == ["small", "net", "built", "again", "Net"]
    assert models["again"] is models["built"]
    assert torch.equal(models["net"][1].weight, models["Net"][1].weight)  # drawn under the same seed
    state = torch.get_rng_state()
    assert not torch.equal(models_from(["own_models:Net"], seed=1)["Net"][1].weight, models["Net"][1].weight)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "There is no model to rank"),
        (["own_models:small", "small=own_models:Net"], "Two models are called 'small'; name one of them: other_name="),
        (["own_models:bad"], r"own_models:bad\['text'\] gives a str, which is no torch module"),
        (["own_models:batches"], "gives a list; name a torch module"),
        (["own_models:needs"], "cannot be called without arguments: TypeError"),
        (["own_models:fails"], "cannot be called without arguments: ValueError: no model"),
        (
            ["nothing_here:x"],
            "No module named 'nothing_here'; call from the folder that holds it",
        ),
        (["own_models.py:small"], r"a module is named without its suffix, own_models:small\.$"),
    ],
)
def test_what_is_no_model_is_named(here: Path, entries: list[str], message: str) -> None:
    with pytest.raises((ConfigError, UnknownNameError), match=message) as caught:
        models_from(entries)
    assert "\n" not in str(caught.value)


IMAGES = torch.randint(0, 256, (10, 6, 6, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_files_give_standardised_images_and_labels(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    labels = torch.arange(10) % 3
    save_file({"images": IMAGES, "labels": labels}, tmp_path / "photos.safetensors")
    np.savez(tmp_path / "photos.npz", images=IMAGES.numpy(), labels=labels.numpy())
    for name in ("photos.safetensors", "photos.npz"):
        batches = list(batches_from(str(tmp_path / name), batch_size=4))
        inputs, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
        assert [len(batch[0]) for batch in batches] == [4, 4, 2]
        assert inputs.shape == (10, 3, 6, 6)
        torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
        torch.testing.assert_close(inputs.std((0, 2, 3)), torch.ones(3))
        assert targets.sort().values.tolist() == labels.sort().values.tolist()


def test_floating_point_inputs_are_taken_as_they_are(tmp_path: Path) -> None:
    inputs = torch.randn(5, 7)
    save_file({"images": inputs, "labels": torch.arange(5)}, tmp_path / "x.safetensors")
    ((found, labels),) = batches_from(str(tmp_path / "x.safetensors"), batch_size=5)
    assert torch.equal(found, inputs[labels])


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"images": IMAGES}, "holds images, but no labels"),
        ({"images": IMAGES, "labels": torch.arange(9)}, r"images \[10, 6, 6, 3\] and labels \[9\]"),
        ({"images": IMAGES, "labels": torch.randn(10)}, "needs one whole number for each image"),
        ({"images": IMAGES.long(), "labels": torch.arange(10)}, "of torch.int64; give uint8"),
        ({"images": IMAGES[..., :2], "labels": torch.arange(10)}, r"give uint8 \[N, H, W\] or \[N, H, W, 1 or 3\]"),
        ({"images": torch.tensor(3.0), "labels": torch.arange(10)}, r"images \[\] and labels \[10\]"),
        ({"images": IMAGES[:0], "labels": torch.arange(0)}, "holds no image"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, tensors: dict, message: str) -> None:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "x.safetensors")
    with pytest.raises(DataFileError, match=message):
        batches_from(str(tmp_path / "x.safetensors"), 4)


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    for name in ("x.npz", "x.safetensors"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(DataFileError, match=r"cannot be read as .*write it again"):
            batches_from(str(tmp_path / name), 4)
    np = pytest.importorskip("numpy")
    np.savez(tmp_path / "whole.npz", images=IMAGES.numpy(), labels=np.arange(10))
    np.savez(tmp_path / "xy.npz", x=IMAGES.numpy(), y=np.arange(10))
    with pytest.raises(DataFileError, match=r"xy\.npz holds x, y, but no images and no labels"):
        batches_from(str(tmp_path / "xy.npz"), 4)
    content = (tmp_path / "whole.npz").read_bytes()
    np.savez(tmp_path / "words.npz", images=IMAGES.numpy(), labels=np.array(["cat"] * 10))
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "flipped.npz").write_bytes(content[:300] + b"\xff" * 40 + content[340:])
    for name in ("words", "cut", "flipped"):
        with pytest.raises(DataFileError, match=rf"{name}.npz cannot be read as .npz of numbers .*write it again"):
            batches_from(str(tmp_path / f"{name}.npz"), 4)
    with pytest.raises(DataFileError, match=r"x.csv is neither .safetensors nor .npz, nor of the form"):
        batches_from(str(tmp_path / "x.csv"), 4)


def test_a_table_names_each_warning_once_with_the_networks_it_concerns() -> None:
    ranking = [
        Ranking(1, "a", 0.9, None, 100, 1.0, 0.01, ("too deep",)),
        Ranking(2, "long name", 0.8, None, 100, 1.0, None, ("too deep", "too wide")),
        Ranking(3, "c", None, "boom", 3, 0.1),
    ]
    assert ranking_table(ranking).splitlines() == [
        "rank  model      accuracy   spread  mini-batches  seconds",
        "   1  a           90.00 %    ±1.00           100      1.0",
        "   2  long name   80.00 %        –           100      1.0",
        "   3  c            failed        –             3      0.1",
        "failed: c: boom",
        "warning: a, long name: too deep",
        "warning: long name: too wide",
    ]
