"""What a program prints shows on any terminal, and into a pipe whose reader has gone."""

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper

GONE = 141
"""The exit code of a program that went with the reader of its output: what a shell says of SIGPIPE."""


def on_any_terminal(program: Callable[[], int]) -> int:
    """Run a program whose output may hold characters (τ, ×, →) that the encoding of its terminal or log lacks.

    They appear as question marks: a word that cannot be shown costs no result. Where nobody reads the output any more,
    as behind `| head`, the program ends at its next line without a stack.

    Returns:
        Its exit code, or `GONE`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        code = program()
        if sys.stdout is not None:  # closed by whoever called
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still held back is written at the end
        return GONE
    return code
