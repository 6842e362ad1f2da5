"""Autoencoder and predictor as their tables read: convolutions, and `nn.GRU` on sequences padded to one length."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def conv_cae() -> nn.Sequential:
    """Encoder and decoder of the paper's Tables 11 and 12."""
    encoder = nn.Sequential(
        *(nn.Conv2d(12, 512, (1, 100)), nn.BatchNorm2d(512), nn.ReLU()),
        *(nn.Conv2d(512, 256, (65, 1)), nn.BatchNorm2d(256), nn.ReLU()),
        *(nn.Conv2d(256, 128, 1), nn.BatchNorm2d(128), nn.ReLU()),
    )
    decoder = nn.Sequential(
        *(nn.ConvTranspose2d(128, 256, 1), nn.BatchNorm2d(256), nn.ReLU()),
        *(nn.ConvTranspose2d(256, 512, (65, 1)), nn.BatchNorm2d(512), nn.ReLU()),
        nn.ConvTranspose2d(512, 12, (1, 100)),
    )
    return nn.Sequential(encoder, decoder)


class PaddedBiGRU(nn.Module):
    """Equations 19-24 on sequences padded to one length: its backward pass begins in the padding."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(256, 128, 2, batch_first=True, bidirectional=True, dropout=0.1)
        self.attention = nn.Linear(256, 1)
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 1), nn.Sigmoid())

    def forward(self, padded: Tensor, lengths: Tensor) -> Tensor:
        """`[B, T, 256]` and `[B]` → `[B]`."""
        outputs, hidden = self.gru(padded)
        unseen = torch.arange(padded.shape[1]) >= lengths[:, None]
        shares = self.attention(outputs).squeeze(2).masked_fill(unseen, -torch.inf).softmax(1)
        context = (shares[:, :, None] * outputs).sum(1)
        return self.head(torch.cat([hidden[-2], hidden[-1], context], 1)).squeeze(1)


def adam_step(net: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """One training step with Adam as it comes."""
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step
