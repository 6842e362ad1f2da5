"""How the weights and maps of a network in training lie in memory."""

import torch


def memory_format(device: torch.device | str, precision: str = "float32") -> torch.memory_format:
    """Channels-last on a CPU, and on a GPU in `bf16`; contiguous on a GPU in float32.

    Without TF32 a GPU has no tensor core for float32. There channels-last, with cuDNN's other heuristics, took
    a quarter less time on an H100 and gave wrong gradients; which is to blame is not known (docs/campaigns.md).
    """
    on_gpu = torch.device(device).type != "cpu"
    return torch.contiguous_format if on_gpu and precision == "float32" else torch.channels_last
