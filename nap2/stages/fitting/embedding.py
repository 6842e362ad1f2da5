"""Snapshots through the two fitted encoders of a pool: only what is missing."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from nap2.checkpoint import load_checkpoint, load_into
from nap2.config import Config
from nap2.errors import EvaluationError
from nap2.inference.components import columns
from nap2.models.encode import encode_trajectories
from nap2.models.encoders import AnyEncoder, empty_encoder
from nap2.schema import MODALITIES
from nap2.seeding import make_deterministic
from nap2.snapshots.embedding_store import EmbeddingStore, fingerprint
from nap2.snapshots.reader import SnapshotReader
from nap2.stages.command.console import say, track
from nap2.stages.fitting.fitted_with import encoder_spec, require_trained
from nap2.stages.pool.run_folder import RunFolder
from nap2.stages.pool.splits import Pool

BATCH = 16  # candidates encoded at once


@dataclass(frozen=True)
class Encoders:
    """The two encoders of one pool, in evaluation mode on `device`, and a hash of both."""

    weights: AnyEncoder
    gradients: AnyEncoder
    fingerprint: str
    device: torch.device


def modality_columns(size: int) -> dict[str, slice]:
    """Which entries of an embedding of this size a predictor reads: the encoders of a run are of one kind and size."""
    return columns(size // 2, size - size // 2)


def load_encoders(folder: RunFolder, device: torch.device) -> Encoders:
    """The fitted encoders of a run folder.

    Raises:
        EvaluationError: if one has not been fitted.
        CheckpointError: if one is damaged.
    """
    nets, hashes = [], []
    for modality in MODALITIES:
        spec, tensors = load_checkpoint(require_trained(folder, modality))
        net = empty_encoder(spec["kind"], tensors["encoder"])
        load_into(net, tensors["encoder"], f"the {modality} encoder")
        nets.append(net.to(device).eval())
        hashes.append(fingerprint(tensors["encoder"]))
    return Encoders(nets[0], nets[1], "+".join(hashes), device)


def embeddings_of(config: Config, pool: Pool) -> EmbeddingStore:
    """The embeddings of a pool's candidates, made by encoders that were fitted on what the config asks for.

    Raises:
        StoreError: if there are none.
        EvaluationError: if an encoder is missing, was fitted on something else, or was fitted again since.
    """
    found = EmbeddingStore.open(pool.folder.embeddings)
    for modality in MODALITIES:
        encoder_spec(config, pool, modality)
    if found.encoders != load_encoders(pool.folder, torch.device("cpu")).fingerprint:
        raise EvaluationError(
            f"{found.path} is of other encoders than {pool.folder.root} holds; run stage=embed again."
        )
    return found


def embed(
    store: SnapshotReader, ids: list[str], path: Path, encoders: Encoders, num_snapshots: int, fold_name: str = ""
) -> EmbeddingStore:
    """Bring the embeddings at `path` up to date with these candidates and encoders; flags of torch are set for it."""
    make_deterministic()  # the same numbers by stage=embed alone as after a fit in one process
    size = encoders.weights.size + encoders.gradients.size
    target = EmbeddingStore.create(path, ids, num_snapshots, size, encoders.fingerprint)
    missing = target.missing(store.complete())
    what = ", ".join(filter(None, ("embeddings", fold_name)))
    say(f"{what}: {len(ids) - len(missing)} of {len(ids)} candidates there, {len(missing)} to encode")
    names = track(missing, "encoding", len(missing))
    while block := list(islice(names, BATCH)):
        trajectories = [store.read(name).trajectory for name in block]
        shortened = [t.first(min(num_snapshots, len(t))) for t in trajectories]
        target.write(block, encode_trajectories(encoders.weights, encoders.gradients, shortened, encoders.device))
    return target
