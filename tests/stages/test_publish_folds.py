"""A cross-validation on a card: of the same candidates and the same procedure as the predictor that is shipped."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes_campaign import curve, trajectory

from nap2.config import Config
from nap2.errors import CheckpointError, EvaluationError
from nap2.evaluation.records.rows import ResultRow, append_rows
from nap2.schema import MODALITIES
from nap2.snapshots.manifest import Candidate
from nap2.snapshots.store import SnapshotStore
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.fitting.assemble import learned_on, of_shorter
from nap2.stages.fitting.encoders import release
from nap2.stages.fitting.fitted_with import claimed, head_terms
from nap2.stages.fitting.variants import Variant
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.splits import load_pools
from nap2.stages.publish_stage import _evaluated, _protocol, _transfer, shipped_config

CLASS_OF = SPACES["nasbench201"].classes["functional"]
OPS = ("nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
DEAD = ("none", "skip_connect")  # on an edge into a vertex that nothing reads
FOLDS = ["split.folds=2", "split.val_size=2", "split.trials=1", "split.train_sizes=[0]", "model.encoder=pca"]
ROW = ResultRow(
    method="nap2 (pca encoder)",
    space="nasbench201",
    source="digits",
    target="digits",
    flavour="functional",
    train_size=5,
    query_batches=2,
    snapshots=2,
    metric="kendall_tau",
    value=0.5,
    num_test=10,
)


def cell(number: int, dead: str = "none") -> str:
    """One of 27 networks, no two of a class, as one of two twins."""
    a, b, c = (OPS[number // power % 3] for power in (1, 3, 9))
    return f"|{dead}~0|+|{a}~0|none~1|+|{b}~0|none~1|{c}~2|"


@cache
def config_of(*asked: str) -> Config:
    common = ["stage=publish", "experiment=digits", "labels=measured", "snapshot.num_snapshots=2", "snapshot.every=1"]
    return compose_config([*common, *FOLDS, *asked])[1]


def store(arch_str: str, snapshots: int = 2, accuracy: float | None = 0.5) -> None:
    config = config_of()
    candidate = Candidate(setting_of(config), arch_str, int(config.recipe["seed"]))
    opened = SnapshotStore.create(Path(config.paths.store), setting_of(config))
    with opened.claim(candidate, snapshots) as writer:
        assert writer is not None
        seen = curve(candidate, snapshots)
        seen.final_accuracy = accuracy
        writer.finish(trajectory(candidate, snapshots), seen)


def fitted(config: Config) -> dict[str, Any]:
    """The spec of a predictor of all candidates; the folds' encoders are fitted too, on what is stored now."""
    whole = shipped_config(config)
    for pool in (*load_pools(config), *load_pools(whole)):
        for modality in MODALITIES:
            release(config, pool, modality, {"encoder": {"weight": torch.zeros(1)}}, 0.0)
    return {**learned_on(whole, pool, len(pool.splits[0].pool)), **of_shorter(pool, []), "heads": [{}]}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a store of ten candidates with a label and two snapshots."""
    monkeypatch.chdir(tmp_path)
    for number in range(10):
        store(cell(number), accuracy=0.3 + number / 50)


def test_the_cells_are_as_they_say() -> None:
    assert len({CLASS_OF(cell(number)) for number in range(27)}) == 27
    assert all(len({CLASS_OF(cell(number, dead)) for dead in DEAD}) == 1 for number in range(27))


@pytest.mark.parametrize("asked", [[], ["split.shorter=true"]])
def test_twins_of_validation_candidates_are_tested_in_the_folds_and_not_shipped(asked: list[str]) -> None:
    for number in range(10):
        store(cell(number, "skip_connect"), accuracy=0.31 + number / 50)
    store(cell(11), snapshots=1)
    config = config_of(*asked)
    spec = fitted(config)
    assert len([arch for arch in spec["fitted_on"] if arch != cell(11)]) < 20
    assert "Tested: all 20 labelled candidates" in _protocol(config, spec, 5)


@pytest.mark.parametrize("asked", [[], ["split.shorter=true"]])
@pytest.mark.parametrize("first", ["folds", "whole"])
def test_a_store_that_grew_between_the_two_is_refused(asked: list[str], first: str) -> None:
    config = config_of(*asked)
    load_pools(config if first == "folds" else shipped_config(config))
    store(cell(11))
    with pytest.raises(CheckpointError, match="the store has grown in between"):
        _protocol(config, fitted(config), 5)


def test_a_predictor_of_fewer_candidates_than_its_split_is_refused() -> None:
    config = config_of()
    spec = fitted(config)
    for arch in spec["fitted_on"]:
        with pytest.raises(CheckpointError, match="than the 9 that this predictor was fitted on"):
            _protocol(config, {**spec, "fitted_on": [one for one in spec["fitted_on"] if one != arch]}, 3)


def test_a_shorter_candidate_that_was_trained_on_since_learned_on_both_sides() -> None:
    config = config_of("split.shorter=true")
    store(cell(11), snapshots=1)
    spec = fitted(config)
    store(cell(11), snapshots=2)
    assert "Tested: all 10 labelled candidates with all 2 snapshots" in _protocol(config, spec, 5)
    (pool,) = load_pools(shipped_config(config))
    assert (pool.num_shorter, of_shorter(pool, []), spec["num_shorter"]) == (0, {"num_shorter": 1}, 1)
    assert of_shorter(pool, [{"num_shorter": 2}, {}]) == {"num_shorter": 2}


def test_a_card_says_what_unlabelled_candidates_did_in_the_folds_too() -> None:
    store(cell(11), accuracy=None)
    store(cell(12), snapshots=1, accuracy=None)
    plain, config = config_of("split.shorter=true"), config_of("split.shorter=true", "model.unlabelled=true")
    sizes = [len(pool.splits[0].pool) for pool in load_pools(plain)]
    assert "- Candidates without a known accuracy took part in nothing." in _protocol(plain, fitted(plain), 5)
    spec = fitted(config)
    store(cell(13), accuracy=None)  # taught nothing
    text = _protocol(config, spec, 3)
    assert "took part in nothing. " not in text
    assert "- Candidates without a known accuracy taught the encoders, but for the equals of those held out" in text
    assert "when to stop; the encoders saw 2 without a known accuracy too), which leaves none" in text
    assert sizes == [3, 3]
    assert "heads on 3 candidates, encoders on 5, with 2 others" in text
    assert (spec["num_unlabelled"], spec["num_shorter"]) == (2, 1)


def test_figures_of_another_procedure_are_refused() -> None:
    config, other = config_of(), config_of("model.predictor.epochs=7")
    spec = fitted(config)
    for asked, pools, size in ((config, load_pools(config), 3), (other, load_pools(shipped_config(config)), 8)):
        for pool in pools:
            split = pool.splits[0]
            with claimed(Variant().folder(pool.folder, size, 0), head_terms(asked, pool, split, size, "encoders")):
                pass
    for one in (config, other):
        with pytest.raises(EvaluationError, match=r"was fitted with model.predictor.epochs=\d+ .this call: \d+.; ask"):
            _protocol(one, spec, 3)


def test_heads_of_one_modality_are_held_to_the_options_where_they_are_shipped() -> None:
    config, other = config_of(), config_of("model.predictor.epochs=7")
    spec = fitted(config)
    (pool,) = load_pools(shipped_config(config))
    terms = head_terms(other, pool, pool.splits[0], 8, "encoders")
    with claimed(Variant("weights").folder(pool.folder, 8, 0), terms):
        assert _protocol(config, spec, 3)
    with pytest.raises(EvaluationError, match=r"n8-trial0-weights was fitted with model\.predictor\.epochs=7 "):
        _protocol(config, {**spec, "heads": [{}, {"modality": "weights"}]}, 3)


def test_a_card_is_of_what_was_evaluated_and_says_at_which_size(tmp_path: Path) -> None:
    others = [replace(ROW, method="nap2", train_size=size) for size in (3, 7)]  # of other encoders of this run
    append_rows(tmp_path / "rows.jsonl", [ROW, *others, replace(ROW, method="size", train_size=0)])
    (tmp_path / "differences.jsonl").touch()
    found, size = _evaluated(config_of(), tmp_path)
    assert ([one.row.train_size for one in found], size) == ([5, 0], 5)
    asked = config_of("model.unlabelled=true")
    with pytest.raises(EvaluationError, match=r"is not of nap2 .pca encoder, unlabelled maps too.; run stage=evaluate"):
        _evaluated(asked, tmp_path)
    assert _transfer(asked, tmp_path) is None
    further = _transfer(config_of(), tmp_path)
    assert further is not None
    assert [one.row.method for one in further.found] == ["nap2 (pca encoder)", "size"]
