"""What can be read off an untrained network: the names of the passes that proxies share."""

from enum import StrEnum


class Pass(StrEnum):
    """One quantity read off a network; every proxy that needs it reads the same one.

    The passes of the first group fall out of a single run of the batch (see `batch_run.py`).
    """

    PATTERN_OVERLAP = "pattern overlap"  # how many ReLUs two images switch alike
    PATTERN_WORDS = "pattern words"  # the images each ReLU is active for, one bit an image
    CORRELATIONS = "correlations"  # between images, at every ReLU, of inputs and of gradients
    FIRST_IMAGE = "first image"  # correlations between the channels of every leaf module, first image
    LOSS_GRADIENT = "loss gradient"  # of every layer's weight
    OUTPUT_SALIENCY = "output saliency"  # activation times gradient at every layer's output
    CURVATURE = "curvature"  # the Hessian times the loss gradient
    INPUT_GRADIENT = "input gradient"  # of the sum of all logits

    WEIGHTS = "weights"
    OPERATIONS = "operations"  # one image, counting multiply-adds
    SPLIT_GRADIENTS = "split gradients"  # loss gradients of the two halves of the batch
    SAMPLE_SIGNS = "sample signs"  # signs of the loss gradient of single images
    TANGENT_KERNEL = "tangent kernel"  # inner products of the gradients of single images' logits
    SYNAPTIC_FLOW = "synaptic flow"  # gradient of the absolute network, float64
    FLOW_ENTROPY = "flow entropy"  # activations of the absolute network, float64
    GAUSSIAN_RESPONSE = "gaussian response"  # output change of a re-initialised network
    GAUSSIAN_PATTERNS = "gaussian patterns"  # activation patterns of re-initialised networks
    BLOCK_STATISTICS = "block statistics"  # features and gradients between blocks of a re-initialised network


BATCH_RUN = frozenset(
    {
        Pass.PATTERN_OVERLAP,
        Pass.PATTERN_WORDS,
        Pass.CORRELATIONS,
        Pass.FIRST_IMAGE,
        Pass.LOSS_GRADIENT,
        Pass.OUTPUT_SALIENCY,
        Pass.CURVATURE,
        Pass.INPUT_GRADIENT,
    }
)
"""The passes that share one forward pass of the whole batch."""
