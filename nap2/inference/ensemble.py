"""The networks of a predictor: from trajectories to what each head says of each."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nap2.inference.components import Heads, check_inputs, columns
from nap2.models.encode import encode_trajectories
from nap2.models.encoders import AnyEncoder
from nap2.seeding import deterministic_arithmetic
from nap2.snapshots.trajectory import Trajectory


class Ensemble:
    """Two encoders and the heads that read their embeddings, all in evaluation mode and on one device.

    Args:
        encoders: of weights and of gradients.
        heads: by modality.

    Raises:
        CheckpointError: if a head reads embeddings of another size.
    """

    def __init__(self, encoders: tuple[AnyEncoder, AnyEncoder], heads: Heads) -> None:
        self.weights_encoder, self.gradients_encoder = (encoder.eval() for encoder in encoders)
        self.heads = {modality: [net.eval() for net in nets] for modality, nets in heads.items()}
        self._columns = columns(self.weights_encoder.size, self.gradients_encoder.size)
        for modality, nets in self.heads.items():
            check_inputs(modality, nets, self._columns[modality])

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.weights_encoder.parameters()).device

    def to(self, device: torch.device | str) -> None:
        """Move the networks."""
        heads = (net for nets in self.heads.values() for net in nets)
        for net in (self.weights_encoder, self.gradients_encoder, *heads):
            net.to(device)

    def embed(self, trajectories: Sequence[Trajectory]) -> list[Tensor]:
        """Float32 `[T, D]` of each trajectory, on the CPU."""
        with _undisturbed(self.device):
            return encode_trajectories(self.weights_encoder, self.gradients_encoder, trajectories, self.device)

    def outputs(self, trajectories: Sequence[Trajectory], modality: str) -> Tensor:
        """Float32 `[A, H]` on the CPU: what each head of a modality says of each trajectory."""
        nets = self.heads[modality]
        if not trajectories:
            return torch.zeros(0, len(nets), device="cpu")
        embeddings = self.embed(trajectories)
        with _undisturbed(self.device):
            lengths = torch.tensor([len(embedding) for embedding in embeddings], device="cpu")
            padded = nn.utils.rnn.pad_sequence(embeddings, batch_first=True)[..., self._columns[modality]]
            padded = padded.to(self.device)
            return torch.stack([net(padded, lengths).cpu() for net in nets], 1)


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """A block that computes the same whatever the process around it has set: gradients, precision, autocast."""
    off = torch.autocast("cpu", enabled=False), torch.autocast(device.type, enabled=False)
    with torch.no_grad(), deterministic_arithmetic(), off[0], off[1]:
        yield
