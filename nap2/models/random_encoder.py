"""An encoder that learns nothing by gradient: besides `LinearEncoder.from_pca`, what an autoencoder must beat."""

import torch
from torch import Tensor

from nap2.models.cae import Encoder


def random_encoder(maps: Tensor, statistics: Tensor | None = None) -> Encoder:
    """An untrained encoder, its weights from torch's random state, its normalisation from one pass over the maps.

    Without that pass every layer would shrink what it reads, and the embeddings would differ by rounding only.

    Args:
        maps: log-normalised `[B, 12, 65, 100]`, B ≥ 2.
        statistics: bool `[12]`, which of them it reads; None: all.

    Returns:
        In evaluation mode, with the mean and variance of these maps in its batch normalisations.
    """
    encoder = Encoder()
    if statistics is not None:
        encoder.read_only(statistics)
    norms = (encoder.norm1, encoder.norm2, encoder.norm3)
    for norm in norms:
        norm.momentum = None  # the plain mean over the batches seen, and there is one
    with torch.no_grad():
        encoder.train()(maps)
    return encoder.eval()
