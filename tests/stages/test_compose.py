"""Bad command lines are refused in one line; good ones become one typed object."""

import errno
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

import train
from nap2 import config_checks
from nap2.config import Config
from nap2.errors import ConfigError, Nap2Error, UnknownNameError
from nap2.stages import STAGES
from nap2.stages.command import compose
from nap2.stages.command.compose import CONF, compose_config
from nap2.stages.fitting import encoders

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
DATASETS = sorted(path.stem for path in (CONF / "dataset").glob("*.yaml"))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_composes_into_a_typed_config(experiment: str) -> None:
    config = compose_config(["stage=snapshot", f"experiment={experiment}"])[1]
    assert isinstance(config, Config)
    assert config.name == experiment


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_composes(dataset: str) -> None:
    own = ["dataset.name=mine", "dataset.num_classes=3"] if dataset.startswith("own_") else []
    where = {"own_folder": ["dataset.reader.root=here"], "own_npz": ["dataset.reader.path=here.npz"]}.get(dataset, [])
    assert compose_config(["stage=snapshot", f"dataset={dataset}", *own, *where])[1].dataset.num_classes > 1


def test_an_own_dataset_says_what_must_be_set() -> None:
    with pytest.raises(ConfigError, match=r"dataset\.name, dataset\.num_classes, .* must be set; add dataset\.name=…"):
        compose_config(["stage=snapshot", "dataset=own_folder"])


def test_the_encoders_and_dtypes_that_a_config_may_name_are_those_that_can_be_fitted() -> None:
    assert set(config_checks.ENCODERS) == set(encoders.FITTINGS)
    assert set(config_checks.DTYPES) == set(encoders.DTYPES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_of_the_table_has_its_module(stage: str) -> None:
    path = Path(CONF).parent / (STAGES[stage].module.replace(".", "/") + ".py")
    assert path.is_file()
    assert "def run(config: Config)" in path.read_text()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stage=caee"], r"No stage is called 'caee'. Did you mean 'cae'\?"),
        (
            ["stage=cae", "dataset=cifar11"],
            r"No dataset \(conf/dataset/\) is called 'cifar11'. Did you mean 'cifar10'\?",
        ),
        (["stage=cae", "experiment=digit"], r"Did you mean 'digits'\?"),
        (["stage=cae", "workrs=3"], r"No setting is called 'workrs'. Did you mean 'workers'\?"),
        (["stage=cae", "model.cae.epocs=3"], r"Did you mean 'model.cae.epochs'\?"),
        (["stage=cae", "+unknown=1"], r"No setting is called 'unknown'"),
        (["stage=cae", "+model.predictor.hiden=64"], r"Did you mean 'model\.predictor\.hidden'\?"),
        (["stage=cae", "+labels=measured"], r"labels is there already; leave the \+ out"),
        (["stage=cae", "workers=many"], r"^workers=many must be a whole number\.$"),
        (["stage=cae", "trainer.threads=x"], r"^trainer\.threads=x must be a whole number, or null\.$"),
        (["stage=cae", "cae=null"], r"cae=null does not fit: cae is a group of settings; .* cae\.modality=…\.$"),
        (["stage=cae", "space.skeleton=3"], r"set them one by one, space\.skeleton\.<name>=…\.$"),
        (["stage=cae", "space.skeleton.stem_channels=x"], r"stem_channels=x must be a whole number\.$"),
        (["stage=cae", "proxies.seeds=[x]"], r"^proxies\.seeds=\[x\] .* is a list of whole numbers; write"),
        (["stage=cae", "name=${nowhere}"], r"'nowhere' not found; correct name in the command, or in the file"),
        (["stage=cae", "model.cae.=null"], r"'model\.cae\.=null' sets no key: a part of its name is empty"),
        (["stage=cae", "workers=0"], r"workers=0 is too small; use at least 1"),
        (["stage=cae", "nonsense"], r"'nonsense' cannot be read as key=value"),
        (["stage=cae", "split.flavour=functionel"], r"Did you mean 'functional'\?"),
        (["stage=cae", "cae.modality=weight"], r"Did you mean 'weights'\?"),
        (["stage=cae", "snapshot.num_snapshots=24"], r"use 1 to 23"),
        (["stage=cae", "split.redraw=true"], r"split\.redraw=true draws other folds .* add split\.folds=5"),
        (["stage=cae", "trainer.threads=0"], r"trainer\.threads=0 is too small; use at least 1"),
        (["stage=cae", "split.train_sizes=[]"], r"train_sizes=\[\] needs sizes"),
        (["stage=cae", "split.train_sizes=[1,0]"], r"at least 2 architectures \(0: the whole pool\)"),
        (["stage=cae", "split.seed=1,2"], r"split.seed=1,2 gives several values, one run each: add --multirun"),
        (["stage=cae", "also=stores/other"], r"also is a list; write also=\[…\]"),
        (["stage=predictor", "predictor.reading=statik"], r"Did you mean 'static'\?"),
        (
            ["stage=predictor", "predictor.reading=static", "model.predictor.prefix_sharing=true"],
            r"no prefixes to share",
        ),
        (["stage=evaluate", "evaluate.bootstrap=0"], r"evaluate.bootstrap=0 is too small; use at least 1"),
        (["stage=cae", "split.folds=1"], r"split.folds=1 is no cross-validation"),
        (["stage=cae", "model.cae.size=0"], r"model\.cae\.size=0 must be a whole number of at least 1"),
        (["stage=cae", "model.pca.size=0"], r"model\.pca\.size=0 must be a whole number of at least 1"),
        (["stage=cae", "model.cae.epochs=0"], r"model\.cae\.epochs=0 must be a whole number of at least 1"),
        (["stage=pipeline", "model.encoder=pcaa"], r"No encoder \(model\.encoder\) is called 'pcaa'"),
        (["stage=pipeline", "model.dtype=float16"], r"No dtype \(model\.dtype\) is called 'float16'"),
        (["stage=pipeline", "model.features=norms"], r"No family of statistics .* Did you mean 'norm'\?"),
        (["stage=pipeline", "model.cae.patience=0"], r"model\.cae\.patience=0 must be .* at least 1, or null"),
        (["stage=pipeline", "model.cae.warmup_epochs=-1"], r"warmup_epochs=-1 must be a whole number of at least 0"),
        (["stage=pipeline", "model.predictor.dropout=1"], r"dropout=1 must be a number from 0 on, below 1"),
        (["stage=cae", "model.cae.epochs=ten"], r"model\.cae\.epochs=ten must be a whole number"),
        (["stage=cae", "model.predictor.batch_size=2.5"], r"batch_size=2\.5 must be a whole number"),
        (["stage=cae", "model.predictor.lr=fast"], r"model\.predictor\.lr=fast must be a number above 0"),
        (["stage=cae", "model.predictor.loss=l2"], r"No loss \(model\.predictor\.loss\) is called 'l2'"),
        (["stage=snapshot", "snapshot.num_candidates=-3"], r"snapshot\.num_candidates=-3 is too small"),
        (["stage=snapshot", "snapshot.second_seed=-1"], r"snapshot\.second_seed=-1 is too small; use at least 0"),
        (["stage=proxies", "proxies.num_candidates=-9"], r"proxies\.num_candidates=-9 is too small"),
        (["stage=proxies", "proxies.batch_size=0"], r"proxies\.batch_size=0 is too small"),
        (["stage=proxies", "proxies.batches=0"], r"proxies\.batches=0 is too small"),
        (["stage=proxies", "proxies.seeds=[]"], r"proxies\.seeds=\[\] scores nothing"),
        (["stage=curves", "curves.num_candidates=0"], r"curves\.num_candidates=0 is too small"),
        (["stage=cae", "store="], r"store= is empty; give it a value, or leave it out"),
        (["stage=cae", "paths.checkpoints="], r"paths\.checkpoints= \(or \$NAP2_CHECKPOINTS\) is empty; give"),
        (["stage=cae", "paths.runs="], r"paths\.runs= is empty"),
        (["stage=publish", "publish.name="], r"publish\.name= is empty"),
        (
            ["stage=snapshot", "dataset.name='my flowers'"],
            r"dataset\.name=my flowers cannot name a dataset",
        ),
        (["stage=snapshot", "dataset.num_classes=1"], r"dataset\.num_classes=1 is too small; use at least 2"),
        (["stage=cae", "dataset=null"], r"No dataset \(conf/dataset/\) is called 'None'"),
        (["stage=cae", "experiment=null"], r"No experiment \(conf/experiment/\) is called 'None'"),
        (["stage=cae", "model.unlabelled=some"], r"model\.unlabelled=some is not true or false"),
        (["stage=cae", "model.predictor.prefix_sharing=maybe"], r"prefix_sharing=maybe is not true or false"),
        (["stage=cae", "store=stores/a(1)"], r"cannot be read as key=value; a value with other characters .* \"key='v"),
        (["stage=pipeline", "snapshot.plan=true"], r"ask that stage for it"),
        (["stage=pipeline", "cae.modality=weights"], r"leaves stage=pipeline one encoder short"),
        (["stage=evaluate", "evaluate.source=a", "union=[b]"], r"leave union out"),
        (["stage=cae", "space.skeleton.num_classes=7"], r"clashes with dataset.num_classes=10"),
    ],
)
def test_bad_input_gets_one_clear_line(overrides: list[str], message: str) -> None:
    with pytest.raises(Nap2Error, match=message) as caught:
        compose_config(overrides)
    assert "\n" not in str(caught.value)


def test_a_model_file_from_before_a_setting_has_what_there_was_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's own copy of one stays what it was."""
    today = compose_config(["stage=cae"])[1].model
    copy = shutil.copytree(CONF, tmp_path / "conf") / "model/nap2.yaml"
    since = ("encoder:", "features:", "unlabelled:", "size:", "pca:")
    lines = copy.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.strip().startswith(since)]
    assert len(lines) - len(kept) == len(since) + 1  # two sizes
    copy.write_text("".join(kept))
    monkeypatch.setattr(compose, "CONF", tmp_path / "conf")
    assert compose_config(["stage=cae"])[1].model == today


def test_parts_of_a_model_that_cannot_be_fitted_are_refused() -> None:
    config = compose_config(["stage=evaluate", "model=nap2_plus"])[1]
    for part, value, message in (
        ("cae", None, r"^model\.cae=None does not fit: .* group of settings; set them one by one, model\.cae\..*=…\.$"),
        ("predictor", 3, r"^model\.predictor=3 does not fit"),
        ("cae", {**config.model["cae"], "lr": inf}, r"^model\.cae\.lr=inf must be a number above 0 and finite\.$"),
        ("predictor", {}, r"^model\.predictor\.hidden=None must be a whole number of at least 1\.$"),
        ("cae", {**config.model["cae"], "depth": 3}, r"^No setting of model\.cae is called 'depth'\."),
        ("predictor", {**config.model["predictor"], "hiden": 3}, r"model\.predictor .* Did you mean 'hidden'\?"),
        ("fusoin", {}, r"^No setting of a model \(conf/model/\) is called 'fusoin'\. Did you mean 'fusion'\?"),
        ("fusion", [], r"^model\.fusion=\[\] does not fit"),
        ("fusion", {"members": 0}, r"^model\.fusion\.members=0 must be a whole number of at least 1\.$"),
        ("fusion", {"inner_folds": 1}, r"^model\.fusion\.inner_folds=1 must be a whole number of at least 2\.$"),
        ("fusion", {"rank_weight": -1}, r"^model\.fusion\.rank_weight=-1 must be a finite number from 0 on\.$"),
        ("fusion", {"ridges": [inf]}, r"^model\.fusion\.ridges=\[inf\] must be a list .* at least one finite\.$"),
        ("fusion", {"ridges": 3}, r"^model\.fusion\.ridges=3 must be a list"),
        ("fusion", {"components": [3, 0]}, r"^model\.fusion\.components=\[3, 0\] must be a list of whole numbers"),
    ):
        known = config.model[part] if part == "fusion" and isinstance(value, dict) else {}
        with pytest.raises(Nap2Error, match=message):
            config_checks.check(replace(config, model={**config.model, part: {**known, **value} if known else value}))


@pytest.mark.parametrize("option", ["--foo", "--cfg=job"])
def test_an_option_that_is_none_is_one_line(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["stage=cae", option]) == 2
    said = f"error: train.py has no option {option}; it knows --multirun, --cfg job and --help, and settings are"
    assert capsys.readouterr().err.startswith(said)
    assert train.main(["stage=cae", "typo", "--cfg", "job"]) == 2
    assert capsys.readouterr().err.startswith("error: 'typo' cannot be read as key=value")


@pytest.mark.parametrize("name", ["nb201_adamw", "nb201_svhn"])
def test_candidates_without_a_published_accuracy_of_their_setting_are_judged_by_their_own(name: str) -> None:
    config = compose_config(["stage=evaluate", f"experiment={name}"])[1]
    assert (config.labels, config.snapshot.to_the_end) == ("measured", True)


def test_a_value_of_any_characters_is_read_in_quotes_of_its_own() -> None:
    overrides = ["store='stores/a (1), é;b'", "rank.arch_strs=['conv3x3~0|output~1']", "paths.runs=/tmp/a b/c"]
    config = compose_config(["stage=rank", "experiment=nb101", *overrides])[1]
    assert (config.store, config.paths.runs) == ("stores/a (1), é;b", "/tmp/a b/c")
    assert config.rank.arch_strs == ["conv3x3~0|output~1"]


def test_a_key_is_added_where_any_key_is_taken() -> None:
    added = ["+rank.models.mine=package:network", "+dataset.reader.image_size=8"]
    config = compose_config(["stage=rank", *added])[1]
    assert (config.rank.models, config.dataset.reader["image_size"]) == ({"mine": "package:network"}, 8)


def test_a_tilde_is_the_home_folder_wherever_a_path_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No shell puts it there behind an equals sign, and a folder called ~ is one that somebody may delete."""
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("NAP2_DATA", "~/data")
    paths = ["store='~/s'", "also=['~/t',u]", "dataset=own_folder", "dataset.reader.root='~/photos'", "dataset.name=x"]
    config = compose_config(["stage=index", *paths, "dataset.num_classes=2"])[1]
    assert (config.paths.store, config.also, config.paths.data) == ("/home/me/s", ["/home/me/t", "u"], "/home/me/data")
    assert config.dataset.reader["root"] == "/home/me/photos"


def test_a_missing_stage_is_named() -> None:
    with pytest.raises((ConfigError, UnknownNameError), match="stage"):
        compose_config(["workers=1"])


@pytest.mark.slow
def test_the_command_exits_with_2_and_writes_nothing(tmp_path: Path) -> None:
    train = Path(CONF).parent / "train.py"
    result = subprocess.run(
        [sys.executable, str(train), "stage=cae", "workers=x"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_launcher_without_a_sweep_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["stage=cae", "experiment=digits", "launcher=slurm"]) == 2
    assert capsys.readouterr().err.startswith("error: launcher=slurm only sends the jobs of a sweep: add --multirun")


def test_a_disk_that_refuses_is_one_line_and_a_bug_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> int:
        raise OSError(number, os.strerror(number), "runs/x/table.md")

    monkeypatch.setattr(train, "run_stage", refused)
    for number in (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES, errno.ENOTDIR):
        assert train.main(["stage=cae", "experiment=digits"]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: runs/x/table.md cannot be written ({os.strerror(number)}); correct that")
        assert error.count("\n") == 1
    number = errno.ENOENT
    with pytest.raises(FileNotFoundError):
        train.main(["stage=cae", "experiment=digits"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stage=cae", "split.trials=0,1"], "split.trials=0 "),
        (["stage=caee,index"], "No stage is called 'caee'."),
        (["split.trials=1,2"], "stage must be set"),
    ],
)
def test_a_refusal_in_a_sweep_is_one_line_too(overrides: list[str], message: str, tmp_path: Path) -> None:
    command = [sys.executable, str(Path(train.__file__)), "--multirun", *overrides]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"\nerror: {message}" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("asked", "set_to"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_sleep_unless_one_says_otherwise(asked: str | None, set_to: str) -> None:
    """Set before torch is loaded, which is when OpenMP reads it."""
    script = """
import os, runpy, sys
before_torch = []
def watch(event, arguments):
    if event == "import" and arguments[0] == "torch":
        before_torch.append(os.environ.get("OMP_WAIT_POLICY"))
sys.addaudithook(watch)
path = sys.argv[1]
sys.argv = [path, "stage=cae", "experiment=digits", "--cfg", "job"]
try:
    runpy.run_path(path, run_name="__main__")
except SystemExit:
    import torch
    print(before_torch[0])
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if asked:
        environment["OMP_WAIT_POLICY"] = asked
    command = [sys.executable, "-c", script, train.__file__]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == set_to
