"""stage=embed: encode every snapshot of every stored candidate; only what is missing."""

from itertools import islice
from pathlib import Path

import torch

from nap2.checkpoint import load_checkpoint, load_into
from nap2.config import Config
from nap2.models.cae import Encoder
from nap2.models.encode import encode_trajectories
from nap2.schema import EMBEDDING_SIZE, MODALITIES
from nap2.snapshots.embedding_store import EmbeddingStore, fingerprint
from nap2.snapshots.reader import SnapshotReader
from nap2.stages.cae_stage import require_trained
from nap2.stages.console import say, track
from nap2.stages.run_folder import RunFolder
from nap2.stages.snapshot_stage import check_device
from nap2.stages.splits import index_rows, open_store

BATCH = 16  # candidates encoded at once


def run(config: Config) -> int:
    """Encode what has no embedding yet."""
    device = check_device(config.trainer.device)
    store = open_store(config)
    encoders, hashes = [], []
    for modality in MODALITIES:
        _, tensors = load_checkpoint(require_trained(config, modality))
        with torch.device("meta"):
            encoder = Encoder()
        load_into(encoder, tensors["encoder"], f"the {modality} encoder")
        encoders.append(encoder.to(device).eval())
        hashes.append(fingerprint(tensors["encoder"]))
    ids = sorted(row.id for row in index_rows(config, store))
    path = RunFolder.of(config).embeddings
    num_snapshots = config.snapshot.num_snapshots
    target = EmbeddingStore.create(path, ids, num_snapshots, len(MODALITIES) * EMBEDDING_SIZE, "+".join(hashes))
    missing = target.missing()
    say(f"embeddings: {len(ids) - len(missing)} of {len(ids)} candidates there, {len(missing)} to encode")
    _encode(store, target, missing, encoders, num_snapshots, device)
    return 0


def _encode(
    store: SnapshotReader,
    target: EmbeddingStore,
    missing: list[str],
    encoders: list[Encoder],
    num_snapshots: int,
    device: torch.device,
) -> None:
    names = track(missing, "encoding", len(missing))
    while block := list(islice(names, BATCH)):
        trajectories = [store.read(name).trajectory for name in block]
        shortened = [t.first(min(num_snapshots, len(t))) for t in trajectories]
        target.write(block, encode_trajectories(encoders[0], encoders[1], shortened, device=device))


def embeddings_path(config: Config) -> Path:
    """Where this config's embeddings lie."""
    return RunFolder.of(config).embeddings
