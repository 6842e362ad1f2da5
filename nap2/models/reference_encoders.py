"""Encoders that learn nothing by gradient: what an autoencoder must beat to be worth its training.

Both are fitted on the maps of a training pool alone, and both are exact functions of those maps (and a seed).
"""

import torch
from torch import Tensor

from nap2.models.cae import Encoder
from nap2.models.linear_encoder import LinearEncoder
from nap2.schema import EMBEDDING_SIZE


def pca_encoder(maps: Tensor, size: int = EMBEDDING_SIZE) -> LinearEncoder:
    """Principal components of log-normalised maps, all in one scale: the first has variance 1 over these maps.

    One scale and not one each: n maps have n − 1 components, and with unit variance in each of them any two of the n
    are equally far apart, so that nothing could be learned from their places.

    Args:
        maps: `[B, 12, 65, 100]`, B ≥ 2.
        size: most components; there are at most B − 1. Those along which nothing varies give 0.

    Returns:
        An encoder whose components have their sign such that the largest entry of each direction is positive.
    """
    encoder = LinearEncoder.from_pca(maps, min(size, len(maps) - 1))
    with torch.no_grad():
        directions, scale = encoder.weight, encoder.scale
        largest = directions.abs().argmax(1, keepdim=True)
        signs = directions.gather(1, largest).sign().squeeze(1)
        varies = scale > 0
        factor = torch.where(varies, scale[0] / torch.where(varies, scale, 1.0), 0.0)
        encoder.bias.mul_(factor * signs)
        encoder.scale.mul_(factor)
        encoder.weight.mul_(signs[:, None])
    return encoder


def random_encoder(maps: Tensor) -> Encoder:
    """An untrained encoder, its weights from torch's random state, its normalisation from one pass over the maps.

    Without that pass every layer would shrink what it reads, and the embeddings would differ by rounding only.

    Args:
        maps: log-normalised `[B, 12, 65, 100]`, B ≥ 2.

    Returns:
        In evaluation mode, with the mean and variance of these maps in its batch normalisations.
    """
    encoder = Encoder()
    norms = (encoder.norm1, encoder.norm2, encoder.norm3)
    for norm in norms:
        norm.momentum = None  # the plain mean over the batches seen, and there is one
    with torch.no_grad():
        encoder.train()(maps)
    return encoder.eval()
