"""Encoders and heads of an earlier call are used again only for what they were fitted on, and how."""

import errno
import fcntl
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nap2.checkpoint import save_checkpoint
from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.evaluation.splitting.splits import Split
from nap2.stages.command.compose import compose_config
from nap2.stages.fitting.assemble import made_by
from nap2.stages.fitting.fitted_with import (
    NOTE,
    claimed,
    encoder_spec,
    encoder_terms,
    head_terms,
    length_terms,
    pool_name,
    refuse_another,
)
from nap2.stages.fitting.heads import train_one
from nap2.stages.fitting.variants import Variant
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool
from nap2.stages.pool.union import Companion


def config_of(num_snapshots: int = 2, *asked: str) -> Config:
    overrides = ["stage=cae", "experiment=digits", f"snapshot.num_snapshots={num_snapshots}", *asked]
    return compose_config(overrides)[1]


class Embeddings:
    """All that a note takes from embeddings."""

    encoders = "abc"


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    split = Split("nasbench201", "digits", "paper", 0, 0, ("a", "b"), ("c",), ("d",), ("a", "b"))
    return Pool({}, {"a": 0.5, "b": 0.6, "c": 0.7, "d": 0.8}, [split], RunFolder(tmp_path))


def fitted(config: Config, pool: Pool, folder: Path, key: str, **more: object) -> Path:
    spec = {"kind": "any", key: pool_name(config, pool), "seconds": 1.0, **more}
    save_checkpoint(folder / "checkpoint", {"x": {"y": torch.zeros(1)}}, spec, "")
    return folder


def test_an_encoder_of_other_snapshots_or_candidates_is_refused(pool: Pool) -> None:
    fitted(config_of(2), pool, pool.folder.encoder_of("weights"), "pool")
    assert encoder_spec(config_of(2), pool, "weights")["seconds"] == 1.0
    with pytest.raises(EvaluationError, match=r"was fitted on 2×2 maps .* asks for 2×3; .* set name= for a new run"):
        encoder_spec(config_of(3), pool, "weights")
    grown = replace(pool, splits=[replace(pool.splits[0], pool=("a", "b", "e"))])
    with pytest.raises(EvaluationError, match=r"was fitted on 2×2 maps .* asks for 3×2"):
        encoder_spec(config_of(2), grown, "weights")


def test_what_was_fitted_on_candidates_of_another_setting_is_refused_finished_or_not(pool: Pool) -> None:
    """One name, another store: the same architectures with the same published labels, but of another recipe."""
    own, other = config_of(), config_of(2, "recipe.lr=0.3")
    fitted(own, pool, pool.folder.encoder_of("weights"), "pool", setting=setting_of(own).as_dict())
    encoder_spec(own, pool, "weights")
    told = r"fitted on candidates of another setting \(recipe\.lr: 0\.1 ≠ 0\.3\); set name= for a new run or delete"
    with pytest.raises(EvaluationError, match=told):
        encoder_spec(other, pool, "weights")
    unfinished = pool.folder.encoder_of("gradients")
    claim(unfinished, encoder_terms(own, pool))
    begun(unfinished)
    with pytest.raises(EvaluationError, match="was fitted with other setting; "):
        claim(unfinished, encoder_terms(other, pool))
    told = r"was fitted with snapshot\.num_snapshots=2 \(this call: 1\); "
    with pytest.raises(EvaluationError, match=told):
        claim(unfinished, encoder_terms(config_of(1), pool))


def claim(folder: Path, asked: Mapping[str, object]) -> None:
    """As a fit does that is interrupted before it has kept anything."""
    with claimed(folder, asked):
        pass


def begun(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "last.ckpt").touch()
    return folder


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("model.predictor.loss=mse", r"model\.predictor\.loss=l1 \(this call: mse\)"),
        ("model.predictor.epochs=3", r"model\.predictor\.epochs=\d+ \(this call: 3\)"),
        ("seed=9", r"seed=0 \(this call: 9\)"),
        ("labels=truth", r"labels=measured \(this call: truth\)"),
    ],
)
def test_a_head_that_was_fitted_in_another_way_is_refused_finished_or_not(asked: str, told: str, pool: Pool) -> None:
    folder, split = Variant().folder(pool.folder, 2, 0), pool.splits[0]
    first = head_terms(config_of(), pool, split, 2, "abc")
    claim(folder, first)
    claim(folder, head_terms(config_of(2, asked), pool, split, 2, "abc"))  # nothing was fitted yet
    claim(folder, first)
    begun(folder)
    claim(folder, first)
    with pytest.raises(EvaluationError, match=f"was fitted with {told}; ask for the same, set name= for a new run"):
        claim(folder, head_terms(config_of(2, asked), pool, split, 2, "abc"))
    fitted(config_of(), pool, folder, "cae_pool")
    with pytest.raises(EvaluationError, match=told):
        train_one(config_of(2, asked), pool, split, 2, Embeddings())


def test_a_head_of_other_labels_candidates_or_encoders_is_refused(pool: Pool) -> None:
    folder, split = begun(Variant().folder(pool.folder, 2, 0)), pool.splits[0]
    (folder / NOTE).write_text(json.dumps(head_terms(config_of(), pool, split, 2, "abc")))
    companion = Companion("cifar10", {"a": "x", "z": "y"}, {"z": 0.1})
    changes = (
        replace(pool, accuracy={**pool.accuracy, "a": 0.51}),
        replace(pool, companions=(replace(companion, accuracy={"a": 0.3}),)),
    )
    for changed in changes:
        with pytest.raises(EvaluationError, match=r"was fitted with other candidates or labels; "):
            claim(folder, head_terms(config_of(), changed, split, 2, "abc"))
    with pytest.raises(EvaluationError, match=r"was fitted with other encoders; "):
        claim(folder, head_terms(config_of(), pool, split, 2, "abd"))
    tested_only = replace(pool, accuracy={**pool.accuracy, "d": 0.9})
    claim(folder, head_terms(config_of(), tested_only, split, 2, "abc"))
    turned = replace(split, train=("b", "a"))
    claim(folder, head_terms(config_of(), pool, turned, 2, "abc"))


def test_an_encoder_depends_on_what_its_kind_uses(pool: Pool) -> None:
    grown = replace(pool, companions=(Companion("cifar10", {"a": "x"}, {}),))
    for kind, matters in (("cae", True), ("random", False), ("pca", False)):
        same, other = config_of(2, f"model.encoder={kind}"), config_of(2, f"model.encoder={kind}", "model.cae.lr=1")
        folder = begun(replace(pool.folder, encoder=kind).encoder_of("weights"))
        (folder / NOTE).write_text(json.dumps(encoder_terms(same, pool)))
        claim(folder, encoder_terms(same, pool))
        with pytest.raises(EvaluationError, match="other training candidates"):
            claim(folder, encoder_terms(same, grown))
        if matters:
            with pytest.raises(EvaluationError, match=r"model\.cae\.lr=0\.001 \(this call: 1\.0\)|this call: 1\)"):
                claim(folder, encoder_terms(other, pool))
        else:
            claim(folder, encoder_terms(other, pool))


def test_a_redrawn_pool_of_the_same_size_is_refused_by_every_stage(pool: Pool) -> None:
    folder = fitted(config_of(), pool, pool.folder.encoder_of("weights"), "pool")
    (folder / NOTE).write_text(json.dumps(encoder_terms(config_of(), pool)))
    encoder_spec(config_of(), pool, "weights")
    redrawn = replace(pool, splits=[replace(pool.splits[0], pool=("a", "d"), test=("b",))])
    with pytest.raises(EvaluationError, match="other training candidates"):
        encoder_spec(config_of(), redrawn, "weights")


def test_an_encoder_stays_when_shorter_candidates_are_trained_further(pool: Pool) -> None:
    config = config_of(2, "split.shorter=true")
    fitted(config, replace(pool, shorter=frozenset("a")), pool.folder.encoder_of("weights"), "pool")
    for shorter in ("a", ""):
        assert encoder_spec(config, replace(pool, shorter=frozenset(shorter)), "weights")["pool"].endswith("/2×≤2")


def test_what_was_interrupted_goes_on_with_as_many_snapshots_or_not_at_all(pool: Pool) -> None:
    folder, asked = pool.folder.encoder_of("weights"), encoder_terms(config_of(2, "split.shorter=true"), pool)
    claim(folder, {**asked, **length_terms([1, 2])})
    claim(begun(folder), {**asked, **length_terms([1, 2])})
    with pytest.raises(EvaluationError, match="was fitted with other numbers of snapshots; "):
        claim(folder, {**asked, **length_terms([2, 2])})
    refuse_another(folder, asked)  # what is finished is not asked


def test_a_damaged_note_is_said_and_a_folder_without_one_is_taken_as_it_is(
    pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = begun(Variant().folder(pool.folder, 2, 0))
    terms = head_terms(config_of(), pool, pool.splits[0], 2, "abc")
    claim(folder, terms)
    assert not (folder / NOTE).exists()
    assert "which an earlier version fitted, without a note of how" in " ".join(capsys.readouterr().out.split())
    (folder / NOTE).write_text("{")
    with pytest.raises(EvaluationError, match=r"fitted_with\.json is damaged .* delete .* and fit again"):
        claim(folder, terms)


@pytest.mark.parametrize("kind", ["cae", "pca"])
def test_a_fit_from_before_the_size_could_be_chosen_has_the_only_one_there_was(pool: Pool, kind: str) -> None:
    folder = begun(pool.folder.encoder_of("weights"))
    asked = encoder_terms(config_of(2, f"model.encoder={kind}"), pool)
    other = encoder_terms(config_of(2, f"model.encoder={kind}", f"model.{kind}.size=64"), pool)
    for note in ({name: asked[name] for name in asked if name != f"model.{kind}.size"}, None):
        if note is None:
            (folder / NOTE).unlink()
        else:
            (folder / NOTE).write_text(json.dumps(note))
        claim(folder, asked)
        with pytest.raises(EvaluationError, match=rf"was fitted with model\.{kind}\.size=128 \(this call: 64\); ask "):
            claim(folder, other)


def test_a_second_call_at_the_same_time_is_refused_and_leaves_the_note_of_the_first(pool: Pool) -> None:
    """It is told to run again, and would then be given what the first one fitted."""
    folder, split = Variant().folder(pool.folder, 2, 0), pool.splits[0]
    first, second = (head_terms(config_of(2, f"seed={seed}"), pool, split, 2, "abc") for seed in (0, 9))
    with claimed(folder, first):
        with pytest.raises(EvaluationError, match=r"Another process is fitting what belongs into .*; let it end"):
            claim(folder, second)
        claim(Variant().folder(pool.folder, 2, 1), second)
        begun(folder)
    claim(folder, first)
    with pytest.raises(EvaluationError, match=r"seed=0 \(this call: 9\)"):
        claim(folder, second)


def test_a_file_system_without_locks_does_not_stop_a_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lustre, as many clusters mount it."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    claim(tmp_path, {"seed": 0})
    assert json.loads((tmp_path / NOTE).read_text()) == {"seed": 0}


def test_a_released_predictor_names_the_code_that_fitted_its_heads() -> None:
    heads = [
        {"seed": 7, "commit": "1a", "versions": {"torch": "2.4"}},
        {"commit": "2b", "versions": {"torch": "2.4"}},
        {},
    ]
    assert made_by(heads) == {"seeds": [7, None, None], "commit": "1a, 2b", "versions": {"torch": "2.4"}}
