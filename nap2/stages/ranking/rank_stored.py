"""`stage=rank rank.candidates=store`: rank what a store holds, with nothing trained and no accuracy known."""

from collections.abc import Callable
from dataclasses import replace

from nap2.config import Config
from nap2.errors import CorruptSnapshotError, StoreVersionError, counted
from nap2.inference import Predictor, Ranking
from nap2.inference.ranking import Outcome, ordered
from nap2.inference.training_remarks import Training, training_remarks
from nap2.snapshots.stored_candidate import StoredCandidate
from nap2.stages.command.console import track
from nap2.stages.pool.candidates import batches_per_epoch, space_of
from nap2.stages.pool.stored import open_store
from nap2.training.recipe import Recipe

KNOWN = "the predictor was fitted on this cell, or on one that computes the same"


def rank_stored(config: Config, predictor: Predictor, query_batches: int) -> list[Ranking]:
    """What the predictor says of every complete candidate of the store (and of `also`), best first.

    A candidate with too few snapshots, or a damaged one, comes last with its reason. One of whose functional class the
    predictor has learned a cell carries a warning: what is said of it is no test.

    Args:
        config: whose store is read, and whose `rank.modality`.
        predictor: any that reads snapshots of the store's interval.
        query_batches: mini-batches that are read of each candidate, a multiple of the predictor's interval.

    Raises:
        StoreError: a store that is missing, empty, or of another setting than the config's.
        CheckpointError: a predictor of another interval.
        UnknownNameError: a modality that it has not.
    """
    store, modality = open_store(config), config.rank.modality
    num_snapshots, is_known = query_batches // predictor.every, _knows(config, predictor)
    outcomes = []
    for candidate_id in track(list(store.complete()), "predicting", len(store.complete())):
        try:
            found = store.read(candidate_id)
        except (CorruptSnapshotError, StoreVersionError) as error:
            outcomes.append(Outcome(candidate_id, None, str(error), 0, 0.0))
            continue
        outcome = _asked(found, predictor, num_snapshots, modality)
        if outcome.prediction and is_known(found.candidate.arch_str):
            warned = replace(outcome.prediction, warnings=(*outcome.prediction.warnings, KNOWN))
            outcome = replace(outcome, prediction=warned)
        outcomes.append(outcome)
    recipe = Recipe.from_dict(store.setting.recipe)
    training = Training(recipe, query_batches, recipe.batch_size, batches_per_epoch(config) or 0)
    used = modality or predictor.modalities[0]
    doubts = training_remarks(training, predictor.own_recipe, used, "gradients" in predictor.heads)
    return ordered(outcomes, tuple(remark.text for remark in doubts))


def _asked(found: StoredCandidate, predictor: Predictor, num_snapshots: int, modality: str | None) -> Outcome:
    candidate, trajectory = found.candidate, found.trajectory
    own_seed = int(candidate.setting.recipe.get("seed", 0))
    name = candidate.arch_str + ("" if candidate.seed == own_seed else f" (seed {candidate.seed})")
    if len(trajectory) < num_snapshots:
        there = counted(len(trajectory), "snapshot")
        return Outcome(name, None, f"the store holds {there} of it, {num_snapshots} are read", 0, 0.0)
    prediction = predictor.predict_with_spread(trajectory.first(num_snapshots), modality)
    seconds = found.curve.seconds(num_snapshots)
    return Outcome(name, prediction, None, num_snapshots * predictor.every, seconds)


def _knows(config: Config, predictor: Predictor) -> Callable[[str], bool]:
    """Whether the predictor has learned from a cell of the same functional class."""
    if predictor.spec.get("setting", {}).get("space") != config.space.name:
        return lambda arch_str: False
    class_of = space_of(config).classes["functional"]
    learned = {class_of(arch_str) for arch_str in predictor.spec.get("fitted_on", ())}
    return lambda arch_str: class_of(arch_str) in learned
