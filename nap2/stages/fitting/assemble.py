"""The end of stage=predictor: one folder with the encoders and the heads of every trial, which users load."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from nap2.checkpoint import load_checkpoint, load_spec
from nap2.config import Config
from nap2.evaluation.judging.metrics import kendall_tau
from nap2.feature_maps.families import ALL
from nap2.inference import Predictor
from nap2.inference.components import HEAD_MODALITIES, as_components, encoder_kinds
from nap2.inference.scope import scope_of
from nap2.schema import MAX_LAYERS, MODALITIES
from nap2.snapshots.layers import num_layers
from nap2.snapshots.reader import SnapshotReader
from nap2.snapshots.trajectory import Trajectory
from nap2.stages.command.console import say
from nap2.stages.fitting.embedding import load_encoders
from nap2.stages.fitting.fitted_with import pool_name, refuse_another, require_trained, seen_terms
from nap2.stages.fitting.variants import Variant
from nap2.stages.pool.candidates import setting_of, space_of
from nap2.stages.pool.encoder_name import directions_of, features_of
from nap2.stages.pool.splits import Pool
from nap2.stages.pool.stored import stands_in_for
from nap2.training.recipe import Recipe

MOST_MB = 40
"""Of a released folder. An ensemble that is larger in half precision has its encoders' large matrices in 8 bits."""


def assemble(config: Config, pool: Pool, size: int, store: SnapshotReader) -> None:
    """Write the folder that `Predictor.from_pretrained` loads.

    Args:
        config: of the run.
        pool: whose trials' heads go in: joint ones, and those of a single modality that were trained.
        size: training candidates of a head.
        store: snapshots of candidates and companions, for the scope and for the check of the stored precision.
    """
    split = pool.splits[0]
    encoders = load_encoders(pool.folder, torch.device("cpu"))
    weights, gradients = (dict(net.state_dict()) for net in (encoders.weights, encoders.gradients))
    tensors = {"weights_encoder": weights, "gradients_encoder": gradients}
    read = seen_terms(config, encoders.fingerprint)
    heads, fitted = [], []
    for modality in HEAD_MODALITIES:
        for trial in pool.trials:
            path = Variant(modality).folder(pool.folder, size, trial) / "checkpoint"
            if (path / "spec.json").is_file():
                refuse_another(path.parent, read)  # left over from encoders that were fitted again since
                head, parts = load_checkpoint(path, "predictor-head")
                tensors[f"{modality}{trial}"] = parts["predictor"]
                heads.append({"component": f"{modality}{trial}", "modality": modality})
                fitted.append(head)
    learned = split.train_of(size)
    scope = scope_of(_trajectories(config, store, pool.ids_of(learned)))
    learned_here = {**learned_on(config, pool, size), **of_shorter(pool, fitted)}
    spec = {**learned_here, **made_by(fitted), "heads": heads, "scope": scope}
    whole = Predictor.assemble(tensors, spec)
    compared = [pool.ids[arch] for arch in split.test or (*learned, *split.val)]
    whole.spec["precision"] = precision(whole, list(_trajectories(config, store, compared)))
    whole.save(pool.folder.checkpoint, card(config, size, whole.spec), bits=whole.spec["precision"]["bits"])
    counts = ", ".join(f"{len(nets)} of {modality}" for modality, nets in whole.heads.items())
    say(f"checkpoint: {pool.folder.checkpoint} (heads: {counts})")


def learned_on(config: Config, pool: Pool, size: int) -> dict[str, Any]:
    """What the spec says of the encoders, the candidates and their labels."""
    split = pool.splits[0]
    return {
        "kind": "predictor",
        "encoders": {modality: {"kind": config.model["encoder"]} for modality in MODALITIES},
        **({} if features_of(config) == ALL else {"features": features_of(config)}),
        **({} if (directions := directions_of(config)) is None else {"directions": directions}),
        "num_snapshots": config.snapshot.num_snapshots,
        "every": config.snapshot.every,
        "setting": setting_of(config).as_dict(),
        "train_size": size,
        "num_val": len(split.val),
        "num_test": len(split.test),
        **({"num_unlabelled": len(pool.unlabelled)} if pool.unlabelled else {}),
        "fitted_on": sorted({*pool.encoder_archs, *split.val}),
        "labels": config.labels,
        "stand_in_for": stands_in_for(config),
        "cae_pool": pool_name(config, pool),
        "union": pool.labelled_elsewhere(split.train_of(size)),
    }


def of_shorter(pool: Pool, heads: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many candidates had fewer snapshots for any fit; some may have been trained further since."""
    encoders = [load_spec(require_trained(pool.folder, modality)) for modality in MODALITIES]
    most = max(pool.num_shorter, *(int(fitted.get("num_shorter", 0)) for fitted in (*encoders, *heads)))
    return {"num_shorter": most} if most else {}


def made_by(heads: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Seeds of these heads; commit and versions of the code that fitted them, not always that which assembles them."""
    libraries = dict.fromkeys(name for head in heads for name in head.get("versions", {}))
    return {
        "seeds": [head.get("seed") for head in heads],
        "commit": _joined(head.get("commit", "") for head in heads),
        "versions": {name: _joined(head.get("versions", {}).get(name, "") for head in heads) for name in libraries},
    }


def precision(predictor: Predictor, trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """In how many bits the predictor is stored, and what that does to its predictions.

    Returns:
        `bits` of the large matrices of the encoders (16, or 8 where the folder would be too large); and over these
        trajectories the `kendall_tau` between the predictions at full and at stored precision and their
        `largest_difference`, a fraction of accuracy. τ is None where the predictions of either are all equal.
    """
    encoders = (predictor.weights_encoder, predictor.gradients_encoder)
    for bits in (16, 8):
        tensors, parts = as_components(encoders, predictor.heads, encoder_kinds(predictor.spec), bits)
        if sum(t.nbytes for state in tensors.values() for t in state.values()) <= MOST_MB * 10**6:
            break
    stored = Predictor.assemble(tensors, {**predictor.spec, **parts})
    said = [[one.predict_with_spread(t).accuracy for t in trajectories] for one in (predictor, stored)]
    first, second = torch.tensor(said, dtype=torch.float64)
    tau = kendall_tau(second.numpy(), first.numpy())
    return {
        "bits": bits,
        "num_candidates": len(trajectories),
        "kendall_tau": None if math.isnan(tau) else round(tau, 6),
        "largest_difference": float((first - second).abs().max()),
    }


def card(config: Config, size: int, spec: Mapping[str, Any]) -> str:
    """What the folder says of itself until it is published."""
    dataset, found = config.dataset.name, spec["precision"]
    labels = "imported" if config.labels == "truth" else config.labels
    tau = "undefined (all are equal)" if found["kendall_tau"] is None else found["kendall_tau"]
    return (
        f"# NAP2 predictor: {config.space.name} on {dataset}\n\n"
        f"Ranks networks after up to {config.snapshot.num_snapshots} snapshots, one every {config.snapshot.every} "
        f"mini-batches. Fitted on {size} candidates trained on {dataset} with the recipe "
        f"{Recipe.from_dict(config.recipe).label}; labels: {labels} accuracies.\n\n"
        f"{len(spec['heads'])} heads. Stored in {found['bits']} bits: Kendall τ {tau} with the "
        f"predictions at full precision over {found['num_candidates']} candidates, none further apart than "
        f"{100 * found['largest_difference']:.2g} points.\n"
    )


def _joined(values: Iterable[str]) -> str:
    """Each value once, the unknown left out."""
    return ", ".join(dict.fromkeys(filter(None, values)))


def _trajectories(config: Config, store: SnapshotReader, ids: Iterable[str]) -> Iterable[Trajectory]:
    """Stored trajectories as the predictor sees them, with the number of layers where 65 were too few to tell."""
    space = space_of(config)
    for candidate_id in ids:
        stored = store.read(candidate_id)
        found = stored.trajectory.first(min(len(stored.trajectory), config.snapshot.num_snapshots))
        if len(found.units) == MAX_LAYERS:
            with torch.device("meta"):
                network = space.build(stored.candidate.arch_str, **config.space.skeleton)
                found = replace(found, num_layers=num_layers(network))
        yield found
