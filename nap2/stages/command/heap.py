"""Freed memory stays in the process: the tensors of the next training step are as large as those of the last."""

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h of glibc
LARGEST, PADDING = 2**31 - 1, 2**26  # bytes; the options are C ints


def keep_freed_memory() -> bool:
    """Ask the C library not to return freed blocks to the system, and not to map large ones on their own.

    By default every large CPU tensor is a mapping of its own, whose pages the kernel fills with zeros anew in each
    step: a fifth of the time of a training step of the autoencoder. No number changes. What a process once needed it
    keeps until it ends, so this is for processes of ours and never for those that import the package.

    Returns:
        Whether the C library knows how: glibc does.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    options = ((M_MMAP_THRESHOLD, LARGEST), (M_TRIM_THRESHOLD, LARGEST), (M_TOP_PAD, PADDING))
    accepted = [mallopt(option, value) == 1 for option, value in options]
    return all(accepted)


def return_freed_memory() -> bool:
    """Give back what `keep_freed_memory` kept, between two networks.

    Their tensors differ in size, and many do not fit the holes that others left: over twenty candidates of
    NAS-Bench-201 a process grew from 3.5 to 5.9 GB, of which 1.8 were in use.

    Returns:
        Whether the C library knows how: glibc does.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return False
    trim(0)
    return True
