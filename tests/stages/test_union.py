"""A union of datasets: architectures of training are learned on all of them, and no test candidate has a twin there."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

import train
from nap2.evaluation.records.rows import read_rows
from nap2.evaluation.splitting.splits import Split
from nap2.inference import Predictor
from nap2.schema import COUNTS, MODALITIES
from nap2.snapshots.curve import Curve
from nap2.snapshots.embedding_store import EmbeddingStore
from nap2.snapshots.layout import num_entries
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.store import SnapshotStore
from nap2.snapshots.trajectory import Trajectory
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.splits import load_pools
from nap2.stages.pool.union import Companion, labelled_as

COMMON = [
    "experiment=digits",
    "model.encoder=pca",
    "model.predictor.epochs=2",
    "snapshot.num_snapshots=2",
    "snapshot.every=5",
    "split.train_sizes=[6]",
    "split.val_size=2",
    "split.test_size=4",
    "split.trials=2",
    "evaluate.bootstrap=20",
]
UNION = [*COMMON, "union=[stores/inverted]"]
STAGES = ("cae", "embed", "predictor", "evaluate")


def fill(overrides: list[str], arch_strs: list[str], accuracy_of) -> None:
    """A store of noise, as if these had been trained to the end."""
    config = compose_config(["stage=snapshot", *COMMON, *overrides])[1]
    setting = setting_of(config)
    store = SnapshotStore.create(Path(config.paths.store), setting)
    for number, arch_str in enumerate(arch_strs):
        torch.manual_seed(number)
        units = torch.tensor([2, 3])
        values = torch.randn(2, len(MODALITIES), num_entries(units.tolist())).exp()
        trajectory = Trajectory(
            values, units, setting.every, torch.zeros(2, len(MODALITIES), len(COUNTS), dtype=torch.int64), ("a", "b")
        )
        with store.claim(Candidate(setting, arch_str, int(config.recipe["seed"])), 2) as writer:
            assert writer is not None
            curve = Curve([2.3] * 10, [0.1] * 2, [1.0] * 2, [0.1], final_accuracy=accuracy_of(number))
            writer.finish(trajectory, curve)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets, twelve shared architectures and two that only the second holds, and all stages of their union."""
    root = tmp_path_factory.mktemp("union")
    arch_strs = SPACES["nasbench201"].arch_strings()[400:15000:1100]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        fill([], arch_strs[:12], lambda n: 0.5 + n / 100)
        fill(["name=inverted", "dataset.name=inverted"], arch_strs[:14], lambda n: 0.2 - n / 1000)
        for stage in STAGES:
            assert train.main([f"stage={stage}", *UNION]) == 0
    return root


@pytest.fixture
def inside(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(here)
    return here / "runs/digits/functional+inverted"


def test_it_has_a_run_folder_of_its_own(inside: Path) -> None:
    assert [path.name for path in inside.parent.iterdir() if path.is_dir() and path.name != "logs"] == [inside.name]


def test_every_architecture_of_training_is_learned_on_both_and_none_of_the_test(inside: Path) -> None:
    spec = json.loads((inside / "predictors-pca/n6-trial0/checkpoint/spec.json").read_text())
    assert spec["union"] == {"inverted": 6}
    encoder = json.loads((inside / "pca/weights/checkpoint/spec.json").read_text())
    assert encoder["pool"].startswith("digits/functional+inverted/")
    ids = EmbeddingStore.open(inside / "embeddings-pca.zarr").ids
    assert len(ids) == 12 + 14
    rows = [row for row in read_rows(inside / "results/rows.jsonl") if row.metric == "kendall_tau"]
    assert {row.source for row in rows if row.method.startswith("nap2")} == {"digits+inverted"}
    assert {row.source for row in rows if row.method == "graph regression"} == {"digits"}


def test_no_twin_of_a_test_candidate_is_in_the_training_pool(inside: Path) -> None:
    config = compose_config(["stage=cae", *UNION])[1]
    pool = load_pools(config)[0]
    (companion,) = pool.companions
    assert len(companion.ids) == 14
    assert len(pool.encoder_ids) == len(set(pool.encoder_ids)) == 12
    held_back = (*pool.test, *pool.splits[0].val)
    assert not set(pool.ids_of(held_back)) & set(pool.encoder_ids)


def test_its_checkpoint_is_named_by_both_where_it_is_tested_elsewhere(inside: Path) -> None:
    asked = ["stage=evaluate", *COMMON, "name=inverted", "dataset.name=inverted"]
    assert train.main([*asked, f"evaluate.source={inside / 'checkpoint-pca'}"]) == 0
    (rows,) = Path("runs/inverted").glob("functional/results/from-*/rows.jsonl")
    assert {row.source for row in read_rows(rows) if row.method.startswith("nap2")} == {"digits+inverted"}


def test_the_checkpoint_says_what_it_learned_and_its_scope_covers_both(inside: Path) -> None:
    predictor = Predictor.from_pretrained(inside / "checkpoint-pca")
    assert predictor.spec["union"] == {"inverted": 6}
    assert predictor.spec["scope"]["num_trajectories"] == 12
    assert len(predictor.spec["fitted_on"]) == 8


def test_labels_of_test_candidates_on_the_other_dataset_are_not_looked_at(inside: Path) -> None:
    split = Split.load(inside / "splits/trial-0.json")
    train_on = list(split.train_of(6))
    own = {arch: float(n) for n, arch in enumerate(sorted((*train_on, *split.test)))}
    labels = {arch: np.sin(n) for n, arch in enumerate(sorted(own))}
    changed = {**labels, **dict.fromkeys(split.test, 1e6)}
    one, other = (Companion("b", {}, found).labels_on_scale_of(own, train_on) for found in (labels, changed))
    assert one == other
    assert set(one) == set(train_on)


def test_labels_keep_their_order_and_take_mean_and_deviation() -> None:
    rng = np.random.default_rng(0)
    names = [f"a{n}" for n in range(30)]
    own = dict(zip(names, rng.normal(0.9, 0.02, 30), strict=True))
    theirs = dict(zip(names[10:], rng.normal(0.4, 0.1, 20), strict=True))
    scaled = Companion("b", {}, theirs).labels_on_scale_of(own, names)
    assert list(scaled) == names[10:]
    shared = np.array([own[name] for name in names[10:]])
    found = np.array(list(scaled.values()))
    assert np.allclose((found.mean(), found.std()), (shared.mean(), shared.std()), rtol=1e-12)
    assert np.array_equal(found.argsort(), np.array([theirs[name] for name in names[10:]]).argsort())


@pytest.mark.parametrize(
    ("theirs", "found"), [({"a": 0.1, "b": 0.2}, "2 training"), (dict.fromkeys("abcd", 0.1), "4 training")]
)
def test_too_little_in_common_is_refused(theirs, found) -> None:
    from nap2.errors import EvaluationError

    with pytest.raises(EvaluationError, match=rf"{found} architectures have labels on other too .*leave it out"):
        Companion("other", {}, theirs).labels_on_scale_of(dict.fromkeys("abcd", 0.5), "abcd")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["union=[stores/nothing]"], "No snapshot store at stores/nothing"),
        (["union=[stores/digits]"], "stores/digits of union holds digits once more"),
        (["union=[stores/inverted,stores/inverted]"], "stores/inverted of union holds inverted once more"),
        (["union=[stores/inverted]", "snapshot.every=7", "name=seven"], "every=5, this run 7"),
        (["union=[stores/slower]"], "stores/slower of union has recipe.lr=0.001, this run"),
        (["union=[stores/few]"], "0 training architectures have labels on few too (of different value: 0)"),
        (["union=[stores/narrow]"], "stores/narrow of union has space.skeleton.stem_channels=2, this run"),
        (["union=stores/inverted"], "union is a list; write union=[…]"),
    ],
)
def test_what_cannot_be_united_is_refused(inside: Path, overrides, message, capsys: pytest.CaptureFixture[str]) -> None:
    narrow, slower = "space.skeleton.stem_channels=2", "recipe.lr=0.001"
    for name, other in (("narrow", narrow), ("slower", slower), ("few", "seed=0")):
        if f"union=[stores/{name}]" in overrides:
            fill([f"name={name}", f"dataset.name={name}", other], SPACES["nasbench201"].arch_strings()[5:8], float)
    if "snapshot.every=7" in overrides:
        fill(["name=seven", "snapshot.every=7"], SPACES["nasbench201"].arch_strings()[5:8], lambda n: 0.5)
    capsys.readouterr()
    assert train.main(["stage=cae", *COMMON, *overrides]) != 0
    assert message in capsys.readouterr().err
    assert not list(inside.parent.glob("functional+few/pca*"))


def test_everything_that_an_evaluation_writes_is_said(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["stage=evaluate", *UNION]) == 0
    said = capsys.readouterr().out
    for path in (inside / "results").iterdir():
        assert str(path.relative_to(inside.parents[2])) in said or path.name == "differences.jsonl"


def test_no_mini_batches_are_refused_and_not_taken_for_the_default(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["stage=rank", *UNION, "rank.query_batches=0"]) == 2
    assert "Asked to rank after 0 mini-batches" in capsys.readouterr().err


def test_heads_of_other_encoders_are_not_assembled(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Left over from encoders that were deleted and fitted again: their columns mean something else."""
    assert train.main(["stage=predictor", *UNION, "predictor.modality=gradients"]) == 0
    note = inside / "predictors-pca/n6-trial1-gradients/fitted_with.json"
    content = json.loads(note.read_text())
    note.write_text(json.dumps({**content, "encoders": "sha256:other"}))
    capsys.readouterr()
    assert train.main(["stage=predictor", *UNION]) == 2
    assert "n6-trial1-gradients was fitted with other encoders" in capsys.readouterr().err
    note.write_text(json.dumps(content))
    assert train.main(["stage=predictor", *UNION]) == 0


def test_embeddings_of_other_snapshots_or_encoders_are_neither_learned_nor_tested(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embeddings = zarr.open_group(inside / "embeddings-pca.zarr", mode="r+")
    made_by = embeddings.attrs["encoders"]
    for stage, size in (("predictor", 5), ("evaluate", 6)):
        asked = [f"stage={stage}", *UNION, f"split.train_sizes=[{size}]"]
        assert train.main([*asked, "snapshot.num_snapshots=1"]) == 2
        assert "was fitted on 6×2 maps (candidates × snapshots), this call asks for 6×1" in capsys.readouterr().err
        embeddings.attrs["encoders"] = "those before"  # which were deleted since and fitted again
        assert train.main(asked) == 2
        assert "is of other encoders than runs/digits/functional+inverted holds; run stage=" in capsys.readouterr().err
        embeddings.attrs["encoders"] = made_by
    assert not list(inside.glob("predictors-pca/n5-*"))
    assert json.loads((inside / "checkpoint-pca/spec.json").read_text())["num_snapshots"] == 2


def test_a_stand_in_is_labelled_as_what_it_stands_for() -> None:
    assert labelled_as("tinyimagenet16-120") == "imagenet16-120"
    assert labelled_as("cifar10") == "cifar10"
    assert labelled_as("my-own-images") == "my-own-images"
