"""Which device a stage computes on."""

import torch

from nap2.errors import ConfigError

DEVICES = ("cpu", "cuda")


def check_device(name: str) -> torch.device:
    """The device, if this machine has it.

    Raises:
        ConfigError: if it has not, or if it is neither `cpu` nor `cuda`.
    """
    if name not in DEVICES:
        index = name.removeprefix("cuda:")
        advice = f"; for one GPU of several set CUDA_VISIBLE_DEVICES={index}" if index.isdigit() else ""
        raise ConfigError(f"trainer.device={name} is none of {', '.join(DEVICES)}{advice}.")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"trainer.device={name}, but torch {torch.__version__} sees no GPU here; use trainer=cpu.")
    return torch.device(name)
