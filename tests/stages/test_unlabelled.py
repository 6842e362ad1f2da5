"""Candidates without a known accuracy (`model.unlabelled`) teach encoders, unless a twin of theirs is held out."""

from pathlib import Path

import pytest
import torch
from fakes_campaign import curve, trajectory

from nap2.config import Config
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.store import SnapshotStore
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.exam.fusion_contenders import NAME, variant_name
from nap2.stages.exam.own_contender import method_name
from nap2.stages.fitting.encoders import pool_maps
from nap2.stages.fitting.fitted_with import encoder_terms, head_terms, pool_name
from nap2.stages.pool.candidates import draw, setting_of
from nap2.stages.pool.splits import load_pools
from nap2.stages.pool.stored import open_store

SPACE = SPACES["nasbench201"]
CLASS_OF = SPACE.classes["functional"]
LABELLED = draw(SPACE, 12, seed=0, one_per_class=True)
CLASSES = {CLASS_OF(arch) for arch in LABELLED}
TWINS = {CLASS_OF(arch): arch for arch in SPACE.arch_strings() if arch not in LABELLED and CLASS_OF(arch) in CLASSES}
STRANGERS = [a for a in draw(SPACE, 16, seed=0, one_per_class=True) if a not in LABELLED]
UNLABELLED = {*TWINS.values(), *STRANGERS}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve labelled candidates; twins of some of them and four strangers without a label."""
    monkeypatch.chdir(tmp_path)
    config = config_of()
    setting, seed = setting_of(config), int(config.recipe["seed"])
    store = SnapshotStore.create(Path(config.paths.store), setting)
    for place, arch_str in enumerate((*LABELLED, *sorted(UNLABELLED))):
        candidate = Candidate(setting, arch_str, seed)
        with store.claim(candidate, 1) as writer:
            assert writer is not None
            seen = curve(candidate, 1)
            seen.final_accuracy = place / 100 if arch_str in LABELLED else None
            writer.finish(trajectory(candidate, 1), seen)


def config_of(*asked: str) -> Config:
    common = ["stage=cae", "experiment=digits", "labels=measured", "snapshot.num_snapshots=1", "snapshot.every=1"]
    splits = ["split.folds=3", "split.train_sizes=[0]", "split.val_size=2", "split.trials=1", "model.encoder=pca"]
    return compose_config([*common, *splits, *asked])[1]


def test_they_join_the_maps_of_each_fold_that_holds_out_no_twin_of_theirs() -> None:
    config = config_of("model.unlabelled=true")
    usual = load_pools(config_of())
    store = open_store(config)
    for pool, plain in zip(load_pools(config), usual, strict=True):
        split = pool.splits[0]
        assert split == plain.splits[0]
        held_out = {CLASS_OF(arch) for arch in (*split.test, *split.val)}
        assert set(pool.unlabelled) == {arch for arch in UNLABELLED if CLASS_OF(arch) not in held_out}
        assert {*STRANGERS} <= {*pool.unlabelled} != UNLABELLED
        assert pool.encoder_ids == [pool.ids[arch] for arch in (*split.pool, *pool.unlabelled)]
        joined, alone = (pool_maps(config, store, one, "weights") for one in (pool, plain))
        assert len(joined) == len(split.pool) + len(pool.unlabelled)
        assert torch.equal(joined[: len(alone)], alone)


def test_labels_and_heads_are_those_without_them() -> None:
    config = config_of("model.unlabelled=true")
    for pool, plain in zip(load_pools(config), load_pools(config_of()), strict=True):
        assert pool.accuracy == plain.accuracy
        split = pool.splits[0]
        size = len(split.pool)
        assert head_terms(config, pool, split, size, "x") == head_terms(config_of(), plain, split, size, "x")
        assert encoder_terms(config, pool) != encoder_terms(config_of(), plain)
        assert pool_name(config, pool).endswith(f"/{size + len(pool.unlabelled)}×1")


def test_folders_and_rows_say_so() -> None:
    config = config_of("model.unlabelled=true")
    folder = load_pools(config)[0].folder
    assert folder.encoder_of("weights").parent.name == "pca-unlabelled"
    assert folder.predictors.name == "predictors-pca-unlabelled"
    assert method_name(config) == "nap2 (pca encoder, unlabelled maps too)"
    assert variant_name(config, NAME) == "nap2_plus (pca encoder, unlabelled maps too)"
    assert variant_name(config, f"{NAME}: graph alone") == f"{NAME}: graph alone"
