"""How the heads of a pool's predictors are fitted, one for each trial and train size."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from nap2.checkpoint import save_checkpoint
from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.evaluation.splitting.splits import Split
from nap2.models.predictor_module import PredictorModule
from nap2.models.readings import ORDERED, SHUFFLED, one_embedding
from nap2.provenance import commit, versions
from nap2.seeding import seed_from
from nap2.snapshots.embedding_store import EmbeddingStore
from nap2.stages.command.console import duration, say
from nap2.stages.command.parts import built
from nap2.stages.fitting.embedding import modality_columns
from nap2.stages.fitting.fit import FitResult, fit
from nap2.stages.fitting.fitted_with import claimed, head_terms, length_terms, pool_name, refuse_another, unnoted
from nap2.stages.fitting.variants import AnyPredictor, Variant
from nap2.stages.pool.budgets import budgets_of
from nap2.stages.pool.candidates import setting_of
from nap2.stages.pool.splits import Pool


def learned_from(pool: Pool, arch_strs: Sequence[str]) -> list[tuple[str, float]]:
    """Id and label of these architectures, then of the same ones on each companion, on the scale of the pool's own."""
    found = [(pool.ids[arch], pool.accuracy[arch]) for arch in arch_strs]
    for one in pool.companions:
        labels = one.labels_on_scale_of(pool.accuracy, arch_strs)
        found += [(one.ids[arch], label) for arch, label in labels.items()]
    return found


def learning_data(
    config: Config, pool: Pool, split: Split, size: int, embeddings: EmbeddingStore, budget: int | None = None
) -> Any:
    """The data module of one predictor: the first `size` training candidates, with companions, and the validation.

    Where each number of snapshots (`budget`) has a predictor of its own, it gives what that one reads, of those of the
    training candidates that have so many.
    """
    options: dict[str, Any] = config.model["predictor"]
    train, val = learned_from(pool, split.train_of(size)), [(pool.ids[a], pool.accuracy[a]) for a in split.val]
    if budget is not None:
        held = embeddings.read([candidate_id for candidate_id, _ in train])[1].tolist()
        train = [one for one, length in zip(train, held, strict=True) if length >= budget]
        if not train:
            raise EvaluationError(
                f"None of the {size} training candidates has {budget} snapshots; ask for a larger train size, or for "
                "smaller evaluate.budgets."
            )
    trajectory, lengths = embeddings.read([candidate_id for candidate_id, _ in train + val])
    trajectory = trajectory[..., modality_columns(trajectory.shape[2])[config.predictor.modality]]
    if budget is not None:
        trajectory = one_embedding(config.predictor.reading, trajectory, lengths.clamp(max=budget))
        lengths = torch.ones_like(lengths)
    return built(
        config.data["embeddings"],
        trajectory=trajectory,
        lengths=lengths,
        accuracy=torch.tensor([label for _, label in train + val]),
        split={"train": range(len(train)), "val": range(len(train), len(train + val))},
        batch_size=options["batch_size"],
        seed=seed_from("embeddings", config.seed, split.trial),
        prefix_sharing=options["prefix_sharing"],
        shuffle_snapshots=config.predictor.reading == SHUFFLED,
    )


def train_one(config: Config, pool: Pool, split: Split, size: int, embeddings: EmbeddingStore) -> None:
    """Fit the predictor of one trial, or those of `evaluate.budgets` where `predictor.reading` asks for as many."""
    for budget in Variant.of(config).budgets(budgets_of(config)):
        train_head(config, pool, split, size, embeddings, budget)


def train_head(
    config: Config, pool: Pool, split: Split, size: int, embeddings: EmbeddingStore, budget: int | None
) -> None:
    """Fit one predictor of the kind that the config asks for, or say that it is there already."""
    variant = Variant.of(config)
    own = "" if budget is None else f"at {budget} of {config.snapshot.num_snapshots} snapshots"
    what = ", ".join(filter(None, (f"predictor on {size}, trial {split.trial}", *variant.words, own, pool.fold_name)))
    folder = variant.folder(pool.folder, size, split.trial, budget)
    asked = head_terms(config, pool, split, size, embeddings.encoders)
    if (folder / "checkpoint" / "spec.json").is_file():
        refuse_another(folder, asked)
        say(f"{what}: already at {folder / 'checkpoint'}{unnoted(folder)}")
        return
    data = learning_data(config, pool, split, size, embeddings, budget)
    with claimed(folder, {**asked, **length_terms(data.lengths.tolist())}):
        seed = seed_from("predictor", config.seed, size, split.trial)
        net, result = fit_head(config, data, seed, folder, what)
        spec = head_spec(config, pool, split, size, budget, seed, result)
        card = f"# NAP2 predictor\n\nFitted on {size} candidates of {pool_name(config, pool)}, trial {split.trial}.\n"
        save_checkpoint(folder / "checkpoint", {"predictor": net.state_dict()}, spec, card)
    loss = config.model["predictor"]["loss"]
    say(f"{what}: validation loss ({loss}) {result.best_val_loss:.4g} after {duration(result.seconds)}")


def fit_head(config: Config, data: Any, seed: int, folder: Path, what: str) -> tuple[AnyPredictor, FitResult]:
    """A predictor whose weights, dropout and order of learning follow from `seed`."""
    options: dict[str, Any] = config.model["predictor"]
    torch.manual_seed(seed)
    net = Variant.of(config).net(config, data.trajectory.shape[2])
    module = PredictorModule(net, **{key: options[key] for key in ("lr", "max_lr", "loss", "prefix_sharing")})
    epochs, device = options["epochs"], config.trainer.device
    with _threads(config.trainer.threads or 1):
        return net, fit(module, data, folder, what=what, epochs=epochs, patience=None, device=device)


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """A step of a GRU is small: two threads that wait for each other took up to twice as long as one."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def head_spec(
    config: Config, pool: Pool, split: Split, size: int, budget: int | None, seed: int, result: FitResult
) -> dict[str, Any]:
    """What the checkpoint of a predictor says of itself."""
    variant = Variant.of(config)
    return {
        "kind": "predictor-head",
        "modality": variant.modality,
        **({} if variant.reading == ORDERED else {"reading": variant.reading, "budget": budget}),
        "train_size": size,
        "trial": split.trial,
        "seed": seed,
        "num_snapshots": config.snapshot.num_snapshots,
        "every": config.snapshot.every,
        "setting": setting_of(config).as_dict(),
        "cae_pool": pool_name(config, pool),
        "num_shorter": pool.num_shorter,
        "union": pool.labelled_elsewhere(split.train_of(size)),
        "labels": config.labels,
        "val_loss": result.best_val_loss,
        "seconds": result.seconds,
        "commit": commit(),
        "versions": versions(),
    }
