"""Which errors leave a process without its GPU, and which only mean that a network did not fit.

A device-side assert or an illegal access spoils all that a process has on its GPU: whatever it calls there afterwards
fails as well, until it ends. Which network was to blame, if any, is not known, for a GPU reports late. Memory that ran
out is another matter: what did not fit is freed, and the next network may fit.
"""

import gc

import torch

LOST = ("CUDA error", "cuDNN error", "HIP error")
"""How such errors begin; since torch 2.8 most of them are an `AcceleratorError`."""

DID_NOT_FIT = ("out of memory", "ALLOC_FAILED")


def is_device_lost(error: Exception) -> bool:
    """Whether this process can do nothing more on its GPU after an error."""
    text = str(error)
    if any(words in text for words in DID_NOT_FIT):
        return False
    kind = getattr(torch, "AcceleratorError", None)
    return (kind is not None and isinstance(error, kind)) or (isinstance(error, RuntimeError) and text.startswith(LOST))


def free_memory() -> None:
    """Give back what a failed network held on the GPU, so that the next one does not fail for want of it."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's stubs
        gc.collect()
        torch.cuda.empty_cache()
