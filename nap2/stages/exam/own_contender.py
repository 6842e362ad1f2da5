"""NAP2 in the exam: the predictors of one kind, at every query budget."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nap2.checkpoint import load_checkpoint, load_into
from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.evaluation.judging.exam import Floats, Predictions
from nap2.models.readings import PER_BUDGET, SHUFFLED, one_embedding, shuffled
from nap2.schema import MODALITIES
from nap2.seeding import generator, seed_from
from nap2.snapshots.embedding_store import EmbeddingStore
from nap2.stages.exam.contest import Contest
from nap2.stages.fitting.embedding import modality_columns
from nap2.stages.fitting.fitted_with import encoder_spec, pool_name, refuse_another, seen_terms
from nap2.stages.fitting.variants import AnyPredictor, Variant
from nap2.stages.pool.encoder_name import encoder_name, encoder_words
from nap2.stages.pool.splits import Pool

NOTE = (
    "init time: training candidates up to their last snapshot, encoders and predictor; published labels took full "
    "trainings besides"
)


def method_name(config: Config, variant: Variant | None = None) -> str:
    """How rows name NAP2 with the config's encoder; the bare name is the faithful one."""
    return "nap2" + encoder_words(config, (variant or Variant()).words)


def nap2_predictions(contest: Contest, pool: Pool, size: int, variant: Variant) -> Predictions:
    """The predictors of one train size and kind, each trial on the same test candidates."""
    config = contest.fitted
    seen = EmbeddingStore.open(pool.folder.embeddings)
    whole, lengths = seen.read([pool.ids[arch] for arch in pool.test])
    trajectory = whole[..., modality_columns(whole.shape[2])[variant.modality]]
    values, fit_seconds, seeds = [], 0.0, []
    for split in pool.splits:
        heads = {}
        for budget in variant.budgets(contest.snapshots):
            folder = variant.folder(pool.folder, size, split.trial, budget) / "checkpoint"
            heads[budget] = _head(config, variant, folder, seen.encoders, trajectory.shape[2])
        served = [(*heads[variant.budget_at(count)], lengths.clamp(max=count)) for count in contest.snapshots]
        # Of the call that fitted it, which may have had another `seed`; heads of earlier versions do not say.
        seed = int(served[-1][1].get("seed", seed_from("predictor", config.seed, size, split.trial)))
        values.append([predicted(net, variant.reading, trajectory, read, seed) for net, _, read in served])
        fit_seconds += sum(spec["seconds"] for _, spec in heads.values())
        seeds.append(seed)
    read = MODALITIES if variant.modality == "both" else (variant.modality,)
    encoder_seconds = sum(encoder_spec(config, pool, one)["seconds"] for one in read)
    return Predictions(
        method=method_name(config, variant),
        values=np.asarray(values, dtype=np.float64),
        query_batches=contest.query_batches,
        snapshots=contest.snapshots,
        trials=pool.trials,
        seeds=tuple(seeds),
        train_size=size,
        cae_pool=pool_name(config, pool),
        encoder=encoder_name(config),
        init_time_s=_collection_seconds(contest, pool) + encoder_seconds + fit_seconds / len(pool.splits),
        query_time_s=contest.query_seconds,
        note=NOTE,
    )


def _collection_seconds(contest: Contest, pool: Pool) -> float:
    """Training of the pool's and the validation candidates, as far as a predictor reads them."""
    own, most = replace(pool, ids=dict(contest.learned.ids)), contest.fitted.snapshot.num_snapshots
    ids = own.encoder_ids + [own.ids[arch] for arch in own.splits[0].val]
    return sum(contest.learned.early_of(candidate_id).curve.seconds(most) for candidate_id in ids)


def _head(
    config: Config, variant: Variant, folder: Path, encoders: str, input_size: int
) -> tuple[AnyPredictor, dict[str, Any]]:
    """The predictor in `folder` and its spec, if it was fitted on these embeddings and labels."""
    if not (folder / "spec.json").is_file():
        raise EvaluationError(f"No predictor at {folder}; run stage=predictor with these sizes first.")
    spec, tensors = load_checkpoint(folder, "predictor-head")
    refuse_another(folder.parent, seen_terms(config, encoders))
    net = variant.net(config, input_size)
    load_into(net, tensors["predictor"], str(folder))
    return net.eval(), spec


@torch.no_grad()
def predicted(net: AnyPredictor, reading: str, trajectory: Tensor, lengths: Tensor, seed: int) -> Floats:
    """Final accuracies `[A]` by a predictor that reads the first snapshots of `[A, T, D]` in this way."""
    if reading in PER_BUDGET:
        trajectory, lengths = one_embedding(reading, trajectory, lengths), torch.ones_like(lengths)
    elif reading == SHUFFLED:
        trajectory = shuffled(trajectory, lengths, generator("snapshot order", seed))
    values: Floats = net(trajectory, lengths).double().numpy()
    return values
