"""Tiny networks of many kinds, and a batch for them."""

import torch
from torch import nn

from nap2.spaces import SPACES

DENSE_CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
DEAD_CELL = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def cell_network(arch_str=DENSE_CELL, dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return SPACES["nasbench201"].build(arch_str, num_classes=4, stem_channels=4, cells_per_stage=1).to(dtype)


def batch(num_images=6, size=8, dtype=torch.float32, num_classes=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(num_images, 3, size, size, generator=generator, dtype=torch.float64).to(dtype)
    return images, torch.arange(num_images) % num_classes


def perceptron(dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 3)).to(dtype)


def small_convnet(dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3, groups=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(5, 4)).to(dtype)


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.branch = nn.Sequential(nn.ReLU(), nn.Linear(width, width))

    def forward(self, x):
        return x + self.branch(x)


def residual_perceptron(depth, width=6, gain=1.0, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    blocks = [Residual(width) for _ in range(depth)]
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, width), *blocks, nn.Linear(width, 3)).to(dtype)
    for parameter in network.parameters():
        parameter.data.mul_(gain)
    return network


class Encoder(nn.Module):
    """A transformer over tokens; ReLUs are functional, there is no BatchNorm."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(11, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens):
        return self.head(self.encoder(self.embedding(tokens)).mean(1))


class TwoOutputs(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        logits = self.network(x)
        return logits, logits
