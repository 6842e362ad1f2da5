"""The whole pipeline on a handful of candidates: it ends with a table, goes on, and refuses nonsense."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from scipy.stats import kendalltau
from select_rows import select

import train
from nap2.evaluation.records.prediction_file import read_predictions
from nap2.evaluation.records.rows import read_rows
from nap2.evaluation.splitting.splits import Split
from nap2.inference import Predictor
from nap2.snapshots.index import refresh_index
from nap2.snapshots.store import SnapshotStore
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.pipeline_stage import _say_next

TINY = [
    "experiment=digits",
    "workers=1",
    "space.skeleton.stem_channels=2",
    "recipe.epochs=1",
    "snapshot.num_candidates=12",
    "snapshot.second_seed=0",
    "snapshot.every=5",
    "snapshot.num_snapshots=2",
    "split.train_sizes=[4]",
    "split.val_size=2",
    "split.test_size=4",
    "split.trials=2",
    "model.cae.epochs=1",
    "model.predictor.epochs=2",
    "evaluate.bootstrap=20",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the pipeline has run once."""
    root = tmp_path_factory.mktemp("pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert train.main(["stage=pipeline", *TINY]) == 0
    return root


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_it_ends_with_rows_tables_a_plot_and_a_checkpoint(here: Path) -> None:
    results = here / "runs/digits/functional/results"
    rows = read_rows(results / "rows.jsonl")
    assert {row.method for row in rows} >= {"nap2", "parameters", "early_stopping", "graph regression"}
    taus = select(rows, method="nap2", metric="kendall_tau")
    assert {row.query_batches for row in taus} == {5, 10}
    assert {row.trial for row in taus} == {None, 0, 1}
    assert all(row.label == "measured" and row.cae_pool and row.versions for row in taus)
    table = (results / "table.md").read_text()
    assert "nap2" in table
    assert table.startswith("**Kendall τ by mini-batches seen")
    assert table.count("- Not in the table: lce, lc_pfn (needs 5 snapshots; undefined: no candidate has a score).") == 2
    assert "| lce" not in table
    assert all((results / f"{name}-n4.png").stat().st_size > 10_000 for name in ("tau-by-budget", "ranks"))
    predictor = Predictor.from_pretrained(here / "runs/digits/functional/checkpoint")
    assert (predictor.every, predictor.num_snapshots) == (5, 2)


@pytest.mark.slow
def test_the_predictions_are_those_behind_the_rows(here: Path) -> None:
    results = here / "runs/digits/functional/results"
    said = read_predictions(results / "predictions-n4.csv")
    assert said.arch_strs == Split.load(here / "runs/digits/functional/splits/trial-0.json").test
    taus = select(read_rows(results / "rows.jsonl"), metric="kendall_tau", method="nap2")
    for row in taus:
        if row.trial is not None:
            own = said.of("nap2", row.query_batches)[1][row.trial]
            assert row.value == pytest.approx(kendalltau(own, said.accuracy).statistic)
            assert (row.flavour, row.split_seed) == ("functional", 42)


@pytest.mark.slow
def test_the_checkpoint_is_an_ensemble_that_knows_what_it_was_trained_on(here: Path) -> None:
    folder = here / "runs/digits/functional/checkpoint"
    predictor = Predictor.from_pretrained(folder)
    assert {modality: len(nets) for modality, nets in predictor.heads.items()} == {"both": 2}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 40e6
    precision, scope = predictor.spec["precision"], predictor.spec["scope"]
    assert (precision["bits"], precision["num_candidates"]) == (16, 4)
    assert precision["kendall_tau"] > 0.9
    assert precision["largest_difference"] < 1e-3
    assert (scope["num_trajectories"], scope["num_classes"]) == (4, [10, 10])
    assert [len(scope["log10_scale"][modality]) for modality in ("weights", "gradients")] == [2, 2]


@pytest.mark.slow
def test_heads_of_gradients_alone_join_the_ensemble(here: Path) -> None:
    assert train.main(["stage=predictor", *TINY, "predictor.modality=gradients"]) == 0
    predictor = Predictor.from_pretrained(here / "runs/digits/functional/checkpoint")
    assert predictor.modalities == ("both", "gradients")
    store = SnapshotStore.open(here / "stores/digits")
    trajectory = store.read(sorted(store.complete())[0]).trajectory
    assert 0 < predictor.predict(trajectory, modality="gradients") < 1


@pytest.mark.slow
def test_a_call_with_fewer_labels_leaves_the_checkpoint_one_of_the_most(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert train.main(["stage=predictor", *TINY, "split.train_sizes=[3]"]) == 0
    assert "the predictors on 4 candidates are there too" in capsys.readouterr().out
    assert Predictor.from_pretrained(here / "runs/digits/functional/checkpoint").spec["train_size"] == 4
    for fitted in (here / "runs/digits/functional/predictors").glob("n3-*"):  # other tests expect one train size
        shutil.rmtree(fitted)
    assert train.main(["stage=predictor", *TINY]) == 0


MODELS = """
from torch import nn
def narrow(): return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 10))
ALL = {"narrow": narrow, "linear": nn.Sequential(nn.Flatten(), nn.Linear(192, 10))}
torn = nn.Linear(2, 10)
"""


@pytest.mark.slow
def test_importable_models_and_architectures_are_ranked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "ranked_models.py").write_text(MODELS)
    for models, names in (
        ("[ranked_models:ALL]", ["linear", "narrow"]),
        ("{a: 'ranked_models:narrow'}", ["a"]),
        ("['a=ranked_models:narrow']", ["a"]),
    ):
        assert train.main(["stage=rank", *TINY, f"rank.models={models}"]) == 0
        with (here / "runs/digits/ranking.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert sorted(row["name"] for row in rows) == names
        assert all(row["predicted_accuracy"] and row["spread"] and row["warnings"] for row in rows)
    assert train.main(["stage=rank", *TINY, "rank.models=[ranked_models:torn]"]) == 1
    assert "failed: torn: RuntimeError" in capsys.readouterr().out
    arch = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|none~2|"
    assert train.main(["stage=rank", *TINY, f"rank.arch_strs=['{arch}']"]) == 0
    assert arch in capsys.readouterr().out


@pytest.mark.slow
def test_a_second_call_trains_nothing_and_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*.safetensors")}
    assembled = {path: path.read_bytes() for path in (here / "runs/digits/functional/checkpoint").iterdir()}
    assert train.main(["stage=pipeline", *TINY]) == 0
    said = capsys.readouterr().out
    for sentence in ("nothing to do", "CAE of weights: already at", "0 to encode", "trial 1: already at"):
        assert sentence in said
    after = {path: path.stat().st_mtime_ns for path in here.rglob("*.safetensors") if "/checkpoint/" not in str(path)}
    assert {path: path.read_bytes() for path in assembled} == assembled
    assert after.items() <= {p: t for p, t in before.items() if "/checkpoint/" not in str(p)}.items()


def files_beside_splits_and_logs(folder: Path) -> list[Path]:
    """What a refused call may not have written: it says whom it split, in its log, before it finds what is missing."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and not {"splits", "logs"} & set(p.parts))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stage=cae", *TINY, "snapshot.every=7"], "holds another setting than this config (every: 5 ≠ 7)"),
        (["stage=cae", *TINY, "recipe.lr=0.3"], "recipe.lr: 0.1 ≠ 0.3"),
        (["stage=cae", *TINY, "snapshot.num_snapshots=3"], "no candidate with 3 snapshots (longest: 2)"),
        (["stage=cae", *TINY, "split.test_size=5"], "the config asks for"),
        (["stage=cae", *TINY, "split.flavour=paper", "split.test_size=99"], "asks for 4 + 2 + 99"),
        (["stage=embed", *TINY, "split.flavour=paper"], "run stage=cae first"),
        (["stage=cae", *TINY, "split.folds=13"], "use fewer folds"),
        (["stage=predictor", *TINY, "name=nothing"], "stores/nothing"),
        (["stage=evaluate", *TINY, "evaluate.budgets=[3]"], "must lie in 1..2"),
        (["stage=proxies", *TINY, "proxies.names=[snp]"], "Did you mean 'snip'?"),
        (["stage=rank", *TINY, "rank.models=[nothing_here:net]"], "cannot be imported: ModuleNotFoundError"),
        (["stage=rank", *TINY, "rank.models=[a:b]", "rank.arch_strs=[x]"], "both set; rank one kind at a time"),
        (["stage=rank", *TINY, "rank.query_batches=7"], "use query_batches=5"),
        (["stage=snapshot", *TINY, "trainer=gpu"], "sees no GPU here"),
        (["stage=snapshot", *TINY, "trainer.device=cuda:1"], "for one GPU of several set CUDA_VISIBLE_DEVICES=1"),
        (["stage=snapshot", *TINY, "trainer.device=gpu"], "trainer.device=gpu is none of cpu, cuda"),
        (["stage=snapshot", *TINY, "dataset=cifar10", "paths.data=nowhere", "recipe=nasbench201"], "nowhere"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    overrides: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "trainer=gpu" in overrides and __import__("torch").cuda.is_available():
        pytest.skip("there is a GPU")
    before = files_beside_splits_and_logs(here)
    assert train.main(overrides) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert files_beside_splits_and_logs(here) == before


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["cae", "pca", "random"])
def test_folds_test_every_candidate_once_with_any_encoder(
    encoder: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*TINY, "split.folds=2", "split.train_sizes=[3,0]", f"model.encoder={encoder}"]
    for stage in ("cae", "embed", "predictor", "evaluate"):
        assert train.main([f"stage={stage}", *asked]) == 0
    root = here / "runs/digits/functional-2fold"
    method = "nap2" if encoder == "cae" else f"nap2 ({encoder} encoder)"
    taus = select(read_rows(root / "results/rows.jsonl"), method=method, metric="kendall_tau")
    assert {(row.protocol, row.encoder, row.num_test, row.num_failed) for row in taus} == {("2-fold", encoder, 12, 0)}
    assert {row.trial for row in taus} == {None, 0, 1}
    splits = [Split.load(path) for path in sorted(root.glob("fold-*/splits/trial-0.json"))]
    assert sorted(arch for split in splits for arch in split.test) == sorted(
        row.arch_str for row in refresh_index(SnapshotStore.open(here / "stores/digits")).rows
    )
    assert not list(root.glob(f"fold-*/{encoder}/**/*.ckpt"))
    assert list((root / "results").glob("tau-by-labels*.png"))
    capsys.readouterr()
    for stage in ("cae", "embed", "predictor"):
        assert train.main([f"stage={stage}", *asked]) == 0
    said = capsys.readouterr().out
    assert said.count("already at") == 2 * 2 + 2 * 2 * 2  # folds × modalities, folds × trials × sizes
    assert said.count("0 to encode") == 2


@pytest.mark.slow
def test_predictors_of_one_modality_are_tested_beside_those_of_both(here: Path) -> None:
    asked = [*TINY, "name=alone", "store=stores/digits", "model.encoder=random"]
    for stage in ("cae", "embed", "predictor", "predictor predictor.modality=gradients", "evaluate"):
        assert train.main([*f"stage={stage}".split(), *asked]) == 0
    rows = read_rows(here / "runs/alone/functional/results/rows.jsonl")
    both, alone = (
        select(rows, method=name, metric="kendall_tau", query_batches=10)
        for name in ("nap2 (random encoder)", "nap2 (random encoder, gradients alone)")
    )
    assert {row.trial for row in alone} == {row.trial for row in both} == {None, 0, 1}
    assert all(a.init_time_s < b.init_time_s and a.encoder == "random" for a, b in zip(alone, both, strict=True))
    assert not select(rows, method="nap2 (random encoder, weights alone)")
    run, store = here / "runs/alone/functional", SnapshotStore.open(here / "stores/digits")
    split, ids = Split.load(run / "splits/trial-0.json"), {r.arch_str: r.id for r in refresh_index(store).rows}
    training = sum(store.read(ids[a]).curve.snapshot_seconds[1] for a in (*split.pool, *split.val))
    fitted = {path: json.loads(path.read_text())["seconds"] for path in run.glob("*/*/checkpoint/spec.json")}
    encoders = sum(seconds for path, seconds in fitted.items() if "/random/" in str(path))
    heads = [seconds for path, seconds in fitted.items() if path.parts[-3] in ("n4-trial0", "n4-trial1")]
    assert both[0].init_time_s == pytest.approx(training + encoders + sum(heads) / 2)
    assert "init time: training candidates up to their last snapshot" in both[0].note


@pytest.mark.slow
def test_predictors_that_read_in_another_way_are_tested_beside_nap2(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [*TINY, "name=read", "store=stores/digits", "model.encoder=random"]
    for stage in ("cae", "embed", "predictor"):
        assert train.main([f"stage={stage}", *asked]) == 0
    run = here / "runs/read/functional"
    released = {path: path.read_bytes() for path in (run / "checkpoint-random").iterdir()}
    for reading in ("static", "mean_pool", "shuffled"):
        assert train.main(["stage=predictor", *asked, f"predictor.reading={reading}"]) == 0
    assert "predictor on 4, trial 1, mean pool, at 2 of 2 snapshots: validation loss" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in (run / "checkpoint-random").iterdir()} == released
    assert train.main(["stage=evaluate", *asked]) == 0
    taus = select(read_rows(run / "results/rows.jsonl"), metric="kendall_tau")
    for words in ("static", "mean pool", "shuffled"):
        rows = select(taus, method=f"nap2 (random encoder, {words})")
        assert {(row.query_batches, row.trial) for row in rows} == {(b, t) for b in (5, 10) for t in (None, 0, 1)}
    (run / "predictors-random/n4-trial1-static-2/checkpoint").rename(run / "away")
    assert train.main(["stage=evaluate", *asked]) == 0
    assert "static: left out, 3 of 4 predictors on 4 are there" in capsys.readouterr().out


@pytest.mark.slow
def test_encoders_of_a_family_of_statistics_have_folders_and_rows_of_their_own(here: Path) -> None:
    before = {path: path.read_bytes() for path in (here / "runs/digits/functional/cae").rglob("*.safetensors")}
    for stage in ("cae", "embed", "predictor", "evaluate"):
        assert train.main([f"stage={stage}", *TINY, "model.features=norm"]) == 0
    run = here / "runs/digits/functional"
    assert {path: path.read_bytes() for path in before} == before
    assert json.loads((run / "cae-norm/weights/checkpoint/spec.json").read_text())["features"] == "norm"
    taus = select(read_rows(run / "results/rows.jsonl"), method="nap2 (norm alone)", metric="kendall_tau", trial=0)
    assert {row.encoder for row in taus} == {"cae-norm"}
    predictor = Predictor.from_pretrained(run / "checkpoint-cae-norm")
    assert predictor.spec["features"] == "norm"
    weight = predictor.weights_encoder.state_dict()["conv1.weight"]  # [512, 12, 1, 100]
    assert [place for place in range(12) if weight[:, place].any()] == [9, 10]


@pytest.mark.slow
def test_what_was_fitted_on_other_labels_is_neither_tested_nor_fitted_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = next((here / "runs/digits/functional/predictors").glob("n4-trial0"))
    before = (head / "fitted_with.json").read_text()
    (head / "fitted_with.json").write_text(before.replace('"labels": "measured"', '"labels": "truth"'))
    try:
        for stage in ("predictor", "evaluate"):
            assert train.main([f"stage={stage}", *TINY]) == 2
            assert "n4-trial0 was fitted with labels=truth (this call: measured)" in capsys.readouterr().err
    finally:
        (head / "fitted_with.json").write_text(before)


@pytest.mark.parametrize(
    ("asked", "message"),
    [("labels=truth", "There is no truth table at"), ("evaluate.budgets=[3]", "must lie in 1..2")],
)
def test_a_pipeline_of_which_a_later_stage_cannot_run_trains_nothing(
    asked: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main(["stage=pipeline", *TINY, "paths.truth=truth", asked]) == 2
    assert message in capsys.readouterr().err
    assert not Path("stores").exists()


@pytest.mark.slow
def test_a_predictor_is_released_under_a_name_with_a_card_and_twice_changes_nothing(here: Path) -> None:
    call = ["stage=publish", *TINY, "publish.name=tiny", "paths.checkpoints=released"]
    assert train.main(call) == 0
    text = (here / "released/tiny/card.md").read_text()
    assert "After 10 mini-batches the best reference is" in text
    assert "known accuracy that took part: 12 (with snapshots, when this was written: 12); 4 of these" in text
    assert (
        "| [tiny](tiny/card.md) | nasbench201 | digits | 5 to 10 | 4 | 1 |" in (here / "released/README.md").read_text()
    )
    before = {path: path.read_bytes() for path in (here / "released").rglob("*") if path.is_file()}
    assert train.main(call) == 0
    assert before == {path: path.read_bytes() for path in (here / "released").rglob("*") if path.is_file()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAP2_CHECKPOINTS", "released")
        assert Predictor.from_pretrained("tiny").every == 5


@pytest.mark.slow
def test_a_predictor_is_not_released_with_the_figures_of_smaller_ones(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = here / "runs/digits/functional/checkpoint/spec.json"
    before = spec.read_text()
    spec.write_text(json.dumps({**json.loads(before), "train_size": 6}))
    try:
        assert train.main(["stage=publish", *TINY, "paths.checkpoints=elsewhere", "publish.name=other"]) == 2
    finally:
        spec.write_text(before)
    assert (
        "was fitted on 6 candidates, the evaluation beside it is of predictors on up to 4; run"
        in capsys.readouterr().err
    )
    assert not (here / "elsewhere").exists()


@pytest.mark.slow
def test_nothing_is_released_without_its_evaluation(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = here / "runs/digits/functional/results"
    for name, advice in (("rows.jsonl", "run stage=evaluate first"), ("differences.jsonl", "stage=evaluate once more")):
        (results / name).rename(results / "away")
        try:
            assert train.main(["stage=publish", *TINY, "paths.checkpoints=elsewhere"]) == 2
        finally:
            (results / "away").rename(results / name)
        assert advice in capsys.readouterr().err
    assert not (here / "elsewhere").exists()


@pytest.mark.slow
def test_the_predictor_of_all_candidates_is_published_with_the_figures_of_the_folds(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["split.train_sizes=[0]", "model.encoder=pca", "model.pca.size=3"]
    folds, whole = [*TINY, "split.folds=3", *few], [*TINY, "split.test_size=0", *few]
    call = ["stage=publish", *folds, "publish.name=folded", "paths.checkpoints=released"]
    for stage in ("cae", "embed", "predictor", "evaluate"):
        assert train.main([f"stage={stage}", *folds]) == 0
    assert train.main(call) == 2
    assert "split.folds=0 split.test_size=0 first" in capsys.readouterr().err
    for stage in ("cae", "embed", "predictor"):
        assert train.main([f"stage={stage}", *whole]) == 0
    assert train.main(["stage=evaluate", *whole]) == 2
    assert "holds no candidate back" in capsys.readouterr().err
    assert train.main(call) == 0
    text = (here / "released/folded/card.md").read_text()
    predictor = Predictor.from_pretrained(here / "released/folded")
    spec, trial = predictor.spec, Split.load(here / "runs/digits/functional-whole/splits/trial-0.json")
    assert (len(predictor.heads["both"]), spec["num_test"], spec["num_val"]) == (2, 0, 2)
    assert (spec["directions"], predictor.weights_encoder.size, predictor.gradients_encoder.size) == (3, 3, 3)
    assert {row.encoder for row in read_rows(here / "runs/digits/functional-3fold/results/rows.jsonl")} == {"", "pca3"}
    assert spec["train_size"] == len(trial.train) == len(trial.pool)
    assert set(spec["fitted_on"]) == {*trial.pool, *trial.val}
    for needed in (
        "they judge the procedure, not this very file",
        "all 12 labelled candidates, each once per repeat, dealt to 3 folds",
        "functional 3-fold split",
        "Paired differences in Kendall τ against nap2",
        "earn",
    ):
        assert needed in text
    assert train.main([*call, "snapshot.num_snapshots=1"]) == 2
    assert "was fitted with another num_snapshots than this config" in capsys.readouterr().err
    written = here / "runs/digits/functional-whole/checkpoint-pca3/spec.json"
    content = json.loads(written.read_text())
    written.write_text(json.dumps({**content, "fitted_on": content["fitted_on"][1:]}))
    assert train.main(call) == 2
    assert "The folds test other candidates than the 11 that this predictor was fitted on" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_or_a_released_predictor_is_tested_on_what_it_was_not_fitted_on(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["stage=publish", *TINY, "publish.name=moved", "paths.checkpoints=released"]) == 0
    results = here / "runs/digits/functional/results"
    own = read_rows(results / "rows.jsonl")
    asked = [*TINY, "paths.checkpoints=released", "model.encoder=cae"]
    assert train.main(["stage=evaluate", *asked, "evaluate.source=digits/functional"]) == 0
    moved = read_rows(results / "from-digits-functional/rows.jsonl")
    tests = Split.load(here / "runs/digits/functional/splits/trial-0.json").test
    for method in ("nap2", "graph regression"):  # the same store: what it was not fitted on holds its test set
        found, known = (select(rows, method=method, metric="kendall_tau", trial=1) for rows in (moved, own))
        assert [row.num_test >= len(tests) for row in found] == [True] * len(found) == [True] * len(known)
    assert train.main(["stage=evaluate", *asked, "evaluate.source=moved", "evaluate.budgets=[2]"]) == 0
    said = capsys.readouterr().out
    assert "NAP2+ is left out" in said
    (row,) = select(
        read_rows(results / "from-moved/rows.jsonl"), method="nap2", metric="kendall_tau", trial=None, query_batches=10
    )
    predictor = Predictor.from_pretrained(here / "released/moved")
    store = SnapshotStore.open(here / "stores/digits")
    stored = {s.candidate.arch_str: s for s in map(store.read, store.complete())}
    class_of = SPACES["nasbench201"].classes["functional"]
    seen = set(map(class_of, predictor.spec["fitted_on"]))
    judged = [one for arch, one in stored.items() if class_of(arch) not in seen]
    scores = [predictor.predict_with_spread(one.trajectory).accuracy for one in judged]
    tau = kendalltau(scores, [one.curve.final_accuracy for one in judged]).statistic
    assert (row.num_test, row.value) == (len(judged), pytest.approx(tau, nan_ok=True))
    assert (row.encoder, row.train_size, row.protocol) == ("cae", 4, "holdout")
    assert train.main(["stage=evaluate", *asked, "evaluate.source=moved", "snapshot.num_snapshots=2", "name=no"]) == 2


@pytest.mark.slow
def test_a_run_is_tested_on_every_candidate_of_another_search_space(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["space.skeleton.stem_channels=8", "snapshot.num_candidates=5"]
    other = [*TINY, "space=nasbench101", "name=other", *sizes]
    assert train.main(["stage=snapshot", *other]) == 0
    assert train.main(["stage=evaluate", *other, "evaluate.source=digits/functional"]) == 0
    assert "the graph regression and NAP2+ are left out: they read graphs of nasbench201" in capsys.readouterr().out
    rows = read_rows(here / "runs/other/functional/results/from-digits-functional/rows.jsonl")
    assert "graph regression" not in {row.method for row in rows}
    found = select(rows, method="nap2", metric="kendall_tau")
    source = "nasbench201/digits/cells_per_stage 1, stem_channels 2"
    assert {(row.space, row.target, row.source) for row in found} == {("nasbench101", "digits", source)}
    assert {row.num_test for row in found} == {5}
    for option, message in (("also", "space: 'nasbench101' ≠ 'nasbench201'"), ("union", "has space=nasbench201")):
        assert train.main(["stage=evaluate", *other, f"{option}=[stores/digits]"]) == 2
        assert message in capsys.readouterr().err


def test_what_to_try_next_can_be_tried(capsys: pytest.CaptureFixture[str]) -> None:
    for name, said in (("digits", "stage=curves experiment=digits "), ("mine", "stage=curves …the same values ")):
        _say_next(compose_config(["stage=pipeline", f"name={name}"])[1])
        shown = capsys.readouterr().out
        assert said in shown
        assert "proxies.candidates=store " in shown  # a draw from the space would not be "the same candidates"
