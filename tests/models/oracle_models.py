"""The plain forms of the models, and small random maps."""

import torch
from torch import Tensor, nn

from nap2.schema import COUNTS
from nap2.snapshots.layout import dense_index, num_entries
from nap2.snapshots.trajectory import Trajectory

UNITS = ((16, 16, 32, 32, 64, 10), (16,), (8, 120, 16, 99, 100), (64,) * 65)


class ConvCAE(nn.Module):
    """The paper's Tables 11 and 12 as they stand; the state dict lists tensors in the order of `CAE`'s."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(12, 512, (1, 100)), nn.BatchNorm2d(512), nn.ReLU()),
            *(nn.Conv2d(512, 256, (65, 1)), nn.BatchNorm2d(256), nn.ReLU()),
            *(nn.Conv2d(256, 128, 1), nn.BatchNorm2d(128), nn.ReLU()),
        )
        self.decoder = nn.Sequential(
            *(nn.ConvTranspose2d(128, 256, 1), nn.BatchNorm2d(256), nn.ReLU()),
            *(nn.ConvTranspose2d(256, 512, (65, 1)), nn.BatchNorm2d(512), nn.ReLU()),
            nn.ConvTranspose2d(512, 12, (1, 100)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


def as_conv_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a `CAE` under the names of a `ConvCAE`."""
    return dict(zip(ConvCAE().state_dict(), state.values(), strict=True))


def ragged_values(units: tuple[int, ...], num_maps: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_maps, num_entries(units), generator=generator)


def dense_input(values: Tensor, units: tuple[int, ...]) -> Tensor:
    """`[B, 12, 65, 100]` of ragged values that count as log-normalised already."""
    maps = values.new_zeros(len(values), 65 * 100 * 12)
    maps[:, dense_index(units)] = values
    return maps.view(-1, 65, 100, 12).permute(0, 3, 1, 2)


def trajectory_of(units: tuple[int, ...], num_snapshots: int, every: int = 100, seed: int = 0) -> Trajectory:
    values = torch.stack([ragged_values(units, num_snapshots, seed + m) for m in range(2)], 1)
    names = tuple(f"layer{i}" for i in range(len(units)))
    return Trajectory(values, torch.tensor(units), every, torch.zeros(num_snapshots, 2, len(COUNTS)).long(), names)


def predict_alone(net: nn.Module, sequence: Tensor) -> Tensor:
    """Equations 19-24 for one unpadded sequence `[T, D]`, by `nn.GRU` and nothing shared; no dropout."""
    outputs, hidden = net.gru(sequence[None])
    shares = net.attention(outputs[0]).softmax(0)
    pooled = torch.cat([hidden[-2, 0], hidden[-1, 0], (shares * outputs[0]).sum(0)])
    return net.dense2(net.dense1(pooled).relu()).sigmoid()[0]
