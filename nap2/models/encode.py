"""Trajectories → embeddings `z_t` = [weights 128 ; gradients 128] (App. C.3), straight from the ragged maps.

Reads `log_normalise` of `nap2.feature_maps`, its neighbour in rank: an encoder's input is log-normalised by definition,
and elementwise, so that the padded map need never exist.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from nap2.feature_maps import log_normalise
from nap2.models.encoders import AnyEncoder
from nap2.models.zero_skip import compact_ragged
from nap2.snapshots.trajectory import Trajectory

CPU_MAPS = 64  # what lies between two layers stays in the cache
GPU_MAPS = 2048


@torch.no_grad()
def encode_trajectories(
    weights_encoder: AnyEncoder,
    gradients_encoder: AnyEncoder,
    trajectories: Sequence[Trajectory],
    device: torch.device | str = "cpu",
) -> list[Tensor]:
    """Encode every snapshot.

    Args:
        weights_encoder: on `device`, in either mode; used in evaluation mode and left as it was.
        gradients_encoder: the same for gradients.
        trajectories: of any networks and lengths.
        device: where to compute.

    Returns:
        For each trajectory, float32 `[T, D]` on the CPU, weights first; D is 256 with two CAE encoders.
    """
    encoded: list[Tensor] = []
    with _evaluating(weights_encoder), _evaluating(gradients_encoder):
        for part in _parts(trajectories, CPU_MAPS if torch.device(device).type == "cpu" else GPU_MAPS):
            pair = [
                _encode_part(encoder, [(t.values[:, modality], t.units) for t in part], device)
                for modality, encoder in enumerate((weights_encoder, gradients_encoder))
            ]
            encoded += torch.cat(pair, 1).split([len(t) for t in part])  # type: ignore[no-untyped-call]  # torch's own
    return encoded


def _encode_part(encoder: AnyEncoder, maps: Sequence[tuple[Tensor, Tensor]], device: torch.device | str) -> Tensor:
    dtype = next(encoder.parameters()).dtype
    compact = compact_ragged([(log_normalise(values.to(device, dtype)), units.tolist()) for values, units in maps])
    return encoder.encode_rows(compact).float().cpu()


def _parts(trajectories: Sequence[Trajectory], num_maps: int) -> Iterator[list[Trajectory]]:
    """Consecutive trajectories with about this many maps together."""
    part: list[Trajectory] = []
    for trajectory in trajectories:
        part.append(trajectory)
        if sum(map(len, part)) >= num_maps:
            yield part
            part = []
    if part:
        yield part


@contextmanager
def _evaluating(encoder: AnyEncoder) -> Iterator[None]:
    was_training = encoder.training
    encoder.eval()
    try:
        yield
    finally:
        encoder.train(was_training)
