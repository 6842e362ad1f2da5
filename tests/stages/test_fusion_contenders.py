"""NAP2+ and its parts: what each of them sees, and what none of them may see."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nap2.config import Config
from nap2.evaluation.judging.exam import Exam, Predictions
from nap2.evaluation.splitting.splits import Draw, make_splits
from nap2.snapshots.curve import Curve
from nap2.snapshots.embedding_store import EmbeddingStore
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.evaluate_stage import compare
from nap2.stages.exam.contenders import graph_predictions
from nap2.stages.exam.contest import Candidates, Contest, Early
from nap2.stages.exam.fusion_contenders import PARTS, fused_predictions, variant_name
from nap2.stages.pool.candidates import draw
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool
from nap2.stages.publish_stage import judged_methods

EVERY, SNAPSHOTS = 10, 2
NAMES = draw(SPACES["nasbench201"], 24, seed=0, one_per_class=True)


def config_of(*more: str) -> Config:
    small = ["model.fusion.members=1", "model.fusion.inner_folds=3", "model.fusion.ridges=[0.1,1.0]"]
    base = ["stage=evaluate", "experiment=digits", "model=nap2_plus", f"snapshot.every={EVERY}"]
    small.append(f"snapshot.num_snapshots={SNAPSHOTS}")
    return compose_config([*base, *small, *more])[1]


def pool_of(folder: Path, accuracy: dict[str, float], seed: int = 0, lengths: Mapping[str, int] | None = None) -> Pool:
    known = {name: float(value) for name, value in zip(NAMES, np.linspace(0.3, 0.9, len(NAMES)), strict=True)}
    splits = make_splits(Draw(known, "nasbench201", "digits", "paper", str, 14, 3, 1, 42), 7)
    ids = {name: f"id{index}" for index, name in enumerate(NAMES)}
    place = RunFolder(folder / str(seed))
    if not place.embeddings.is_dir():
        store = EmbeddingStore.create(place.embeddings, list(ids.values()), SNAPSHOTS, 6, "none")
        random = torch.Generator().manual_seed(seed)
        drawn = [torch.randn(SNAPSHOTS, 6, generator=random) for _ in NAMES]
        held = lengths or {}
        store.write(store.ids, [z[: held.get(name, SNAPSHOTS)] for name, z in zip(NAMES, drawn, strict=True)])
    return Pool(ids, {**known, **accuracy}, splits, place)


def fused(config: Config, pool: Pool, losses: float = 0.0, size: int = 14) -> dict[str, Predictions]:
    random = np.random.default_rng(0)
    early = {
        pool.ids[name]: Early(
            Curve(list(2 + losses * index + random.random(20)), [0.1, 0.2], [1.0, 2.0]), 5 + index % 3
        )
        for index, name in enumerate(NAMES)
    }
    known = Candidates(None, pool.ids, early)
    where = (pool.test, pool.accuracy, Path("nowhere"))
    contest = Contest(config, config, "digits", known, known, [pool], [size], *where)
    found = fused_predictions(contest, pool, size)
    return {one.method: one for one in found}


@pytest.mark.slow
def test_each_variant_sees_its_parts_and_nothing_else(tmp_path: Path) -> None:
    config = config_of()
    first = fused(config, pool_of(tmp_path, {}))
    other_embeddings = fused(config, pool_of(tmp_path, {}, seed=1))
    other_curves = fused(config, pool_of(tmp_path, {}), losses=0.3)
    assert list(first) == list(PARTS)
    for name, parts in PARTS.items():
        needs_query = {"curve", "dynamics"} & set(parts)
        assert first[name].values.shape == (1, 2 if needs_query else 1, 7)
        assert first[name].query_batches == ((EVERY, 2 * EVERY) if needs_query else (0,))
        assert np.isfinite(first[name].values).all()
        for part, changed in (("dynamics", other_embeddings), ("curve", other_curves)):
            is_same = np.array_equal(first[name].values, changed[name].values)
            assert is_same == (part not in parts), (name, part)
    assert first["nap2_plus"].encoder == "cae"
    assert first["nap2_plus: curve alone"].encoder == ""


@pytest.mark.slow
def test_labels_of_test_and_validation_candidates_change_nothing(tmp_path: Path) -> None:
    config, pool = config_of(), pool_of(tmp_path, {})
    split = pool.splits[0]
    altered = pool_of(tmp_path, {name: 1.0 - pool.accuracy[name] for name in (*split.test, *split.val)})
    assert altered.accuracy != pool.accuracy
    before, after = fused(config, pool), fused(config, altered)
    for name in PARTS:
        np.testing.assert_array_equal(before[name].values, after[name].values)
    regressions = [graph_predictions(config, one, 14).values for one in (pool, altered)]
    np.testing.assert_array_equal(*regressions)
    trained = pool_of(tmp_path, {split.train[0]: 0.0})
    assert not np.array_equal(fused(config, trained)["nap2_plus"].values, before["nap2_plus"].values)


@pytest.mark.slow
def test_each_budget_learns_from_those_that_have_as_many_snapshots_and_the_graph_from_all(tmp_path: Path) -> None:
    config = config_of("model.fusion.ridges=[0.1]", "model.fusion.components=[3]")  # so that nothing is chosen
    pool = pool_of(tmp_path / "whole", {})
    split = pool.splits[0]
    short = dict.fromkeys(split.train[::3], 1)
    mixed = fused(config, pool_of(tmp_path / "mixed", {}, lengths=short))
    whole = fused(config, pool)
    kept = tuple(name for name in split.train if name not in short)
    fewer = fused(config, replace(pool, splits=[replace(split, train=kept)]), size=len(kept))
    for name in PARTS:
        np.testing.assert_array_equal(mixed[name].values[:, 0], whole[name].values[:, 0])
    alone = "nap2_plus: dynamics alone"
    np.testing.assert_array_equal(mixed[alone].values[:, 1], fewer[alone].values[:, 1])
    assert not np.array_equal(mixed[alone].values[:, 1], whole[alone].values[:, 1])
    assert not np.array_equal(mixed["nap2_plus"].values[:, 1], fewer["nap2_plus"].values[:, 1])
    late = replace(config, evaluate=replace(config.evaluate, budgets=[2]))
    size = "nap2_plus: size alone"  # which reads no snapshot
    last = fused(late, pool_of(tmp_path / "mixed", {}, lengths=short))[size]
    np.testing.assert_array_equal(last.values, whole[size].values)


@pytest.mark.slow
def test_a_budget_that_too_few_have_snapshots_for_has_no_score(tmp_path: Path) -> None:
    short = dict.fromkeys(pool_of(tmp_path / "whole", {}).splits[0].train[2:], 1)
    found = fused(config_of(), pool_of(tmp_path / "mixed", {}, lengths=short))
    for name, one in found.items():
        assert np.isfinite(one.values[:, 0]).all()
        if one.values.shape[1] == SNAPSHOTS:
            assert np.isnan(one.values[:, 1]).all() == ("graph alone" not in name)


def test_a_random_or_pca_encoder_is_named() -> None:
    config = config_of()
    named = replace(config, model={**config.model, "encoder": "pca"})
    assert variant_name(named, "nap2_plus") == "nap2_plus (pca encoder)"
    assert variant_name(named, "nap2_plus: curve alone") == "nap2_plus: curve alone"
    assert judged_methods(named) == ("nap2 (pca encoder)", "nap2_plus (pca encoder)")
    assert judged_methods(config) == ("nap2", "nap2_plus")


def test_parts_of_nap2_plus_and_references_are_held_against_nap2_too() -> None:
    random = np.random.default_rng(0)
    exam = Exam(space="nasbench201", target="digits", truth=random.random(20))
    names = ("nap2_plus", "nap2_plus: curve alone", "nap2", "parameters")
    methods = [Predictions(method=name, values=random.random((1, 1, 20)), query_batches=(10,)) for name in names]
    pairs = [(one.method, one.against) for one in compare(config_of(), methods, exam)]
    assert pairs == [(name, "nap2_plus") for name in names[1:]] + [(name, "nap2") for name in (names[1], names[3])]
