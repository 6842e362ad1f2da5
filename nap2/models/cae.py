"""The convolutional autoencoder of one modality: a feature map → 128 numbers → the map (App. C.1).

Layers, order and parameters are those of the paper's Tables 11 and 12; `gemm_convolution.py` says why the convolutions
are written as matrix products. 128 may be another number, `D`. Maps travel as `[B, 12, 65, 100]`, best with the
statistics innermost in memory.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from nap2.models.gemm_convolution import GemmConv2d, GemmConvTranspose2d
from nap2.models.zero_skip import CompactRows, compact_dense, compact_linear, has_many_zeros
from nap2.schema import EMBEDDING_SIZE, MAX_LAYERS, MAX_VALUES, NUM_STATISTICS

WIDE, NARROW = 512, 256
PART = 64  # maps encoded at once on a CPU


class Encoder(nn.Module):
    """`[B, 12, 65, 100]` → `[B, D]`; 9,169,536 parameters with D = 128.

    Args:
        size: entries of the embedding, `D`.
    """

    def __init__(self, size: int = EMBEDDING_SIZE) -> None:
        super().__init__()
        self.conv1 = GemmConv2d(NUM_STATISTICS, WIDE, (1, MAX_VALUES))
        self.norm1 = nn.BatchNorm2d(WIDE)
        self.conv2 = GemmConv2d(WIDE, NARROW, (MAX_LAYERS, 1))
        self.norm2 = nn.BatchNorm2d(NARROW)
        self.conv3 = GemmConv2d(NARROW, size, (1, 1))
        self.norm3 = nn.BatchNorm2d(size)

    @property
    def size(self) -> int:
        """Entries of the embedding."""
        return self.norm3.num_features

    def read_only(self, statistics: Tensor) -> None:
        """Let the encoder see these statistics (bool `[12]`) alone; where the others are zero it never learns them."""
        with torch.no_grad():
            self.conv1.weight[..., ~statistics] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Encode dense log-normalised maps; on a CPU the zeros of a map are left out (see `zero_skip.py`)."""
        if x.device.type == "cpu" and not self._needs_all_maps() and len(x) > PART:
            # Without batch statistics each map stands alone, and what lies between two layers of a part stays in cache.
            return torch.cat([self.forward(part) for part in torch.split(x, PART)])
        rows = x.permute(0, 2, 3, 1).reshape(len(x) * MAX_LAYERS, -1)  # [B * L, V * F]
        # A GPU would have to wait for the count of zeros, which costs it more than multiplying by them.
        if rows.device.type == "cpu" and not rows.requires_grad and has_many_zeros(rows):
            return self.encode_rows(compact_dense(rows))
        return self._encode(partial(functional.linear, rows))

    def encode_rows(self, compact: CompactRows) -> Tensor:
        """Encode maps whose zeros are already left out; equal to `forward` of the dense maps."""
        return self._encode(partial(compact_linear, compact))

    def _encode(self, multiply: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """`multiply(weight, bias)` gives the first layer's result, `[B * L, C]`, for the maps at hand."""
        if self._needs_all_maps():
            h = functional.relu(_normalise(self.norm1, multiply(self.conv1.matrix, self.conv1.bias), MAX_LAYERS))
        else:  # fold the normalisation into the product
            scale, shift = _affine(self.norm1)
            h = multiply(self.conv1.matrix * scale[:, None], self.conv1.bias * scale + shift).relu_()
        h = functional.relu(_normalise(self.norm2, self.conv2(h.view(-1, MAX_LAYERS * WIDE))))
        embedding: Tensor = functional.relu(_normalise(self.norm3, self.conv3(h)))
        return embedding

    def _needs_all_maps(self) -> bool:
        """Whether batch statistics or gradients tie the maps of a batch together."""
        return self.training or torch.is_grad_enabled()


class Decoder(nn.Module):
    """`[B, D]` → `[B, 12, 65, 100]`, mirrored; nothing after the last layer. 9,169,164 parameters with D = 128."""

    def __init__(self, size: int = EMBEDDING_SIZE) -> None:
        super().__init__()
        self.deconv1 = GemmConvTranspose2d(size, NARROW, (1, 1))
        self.norm1 = nn.BatchNorm2d(NARROW)
        self.deconv2 = GemmConvTranspose2d(NARROW, WIDE, (MAX_LAYERS, 1))
        self.norm2 = nn.BatchNorm2d(WIDE)
        self.deconv3 = GemmConvTranspose2d(WIDE, NUM_STATISTICS, (1, MAX_VALUES))

    def forward(self, z: Tensor) -> Tensor:
        """Reconstruct maps; the result lies in memory with the statistics innermost."""
        h: Tensor = functional.relu(_normalise(self.norm1, self.deconv1(z)))
        h = self.deconv2(h).view(-1, WIDE)  # [B, L * C] → [B * L, C]
        h = functional.relu(_normalise(self.norm2, h, MAX_LAYERS))
        maps: Tensor = self.deconv3(h).view(-1, MAX_LAYERS, MAX_VALUES, NUM_STATISTICS)
        return maps.permute(0, 3, 1, 2)


class CAE(nn.Module):
    """Encoder and decoder of one modality.

    Args:
        dtype: of parameters and arithmetic. The paper used float64, which takes 2 to 3 times as long on a CPU.
        size: entries of the embedding, `D`.
    """

    def __init__(self, dtype: torch.dtype = torch.float32, size: int = EMBEDDING_SIZE) -> None:
        super().__init__()
        self.encoder = Encoder(size)
        self.decoder = Decoder(size)
        self.to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct `[B, 12, 65, 100]`."""
        reconstruction: Tensor = self.decoder(self.encoder(x))
        return reconstruction

    def encode(self, x: Tensor) -> Tensor:
        """`[B, 12, 65, 100]` → `[B, D]`."""
        embedding: Tensor = self.encoder(x)
        return embedding


def _normalise(norm: nn.BatchNorm2d, rows: Tensor, height: int = 1) -> Tensor:
    """BatchNorm of `[B * height, C]` rows, shown to it as the channels-last image `[B, C, height, 1]` that they are.

    On a GPU the image has its channels first in memory: with them last, cuDNN would sum up in its "persistent" mode,
    which torch avoids wherever it can because networks lost accuracy by it (pytorch/pytorch#11382).
    """
    image = rows.view(-1, height, 1, rows.shape[1]).permute(0, 3, 1, 2)
    if rows.is_cuda:
        image = image.squeeze(3).contiguous().unsqueeze(3)  # whose strides say so even where height is 1
    normalised: Tensor = norm(image)
    return normalised.permute(0, 2, 3, 1).reshape(rows.shape)


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift, `[C]` each, by which BatchNorm acts in evaluation."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale
