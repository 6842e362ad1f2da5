"""The program of a page that is made from a folder and lies beside it: `python -m <module> <folder>`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from nap2.errors import Nap2Error


def write_page(module: str, description: str | None, text_of: Callable[[Path], str]) -> None:
    """Read the folder from the command line and write its page; what is wrong with either is one line.

    Args:
        module: as `python -m` names it.
        description: for `--help`.
        text_of: the page made from a folder.
    """
    parser = argparse.ArgumentParser(f"python -m {module}", description=description)
    parser.add_argument("folder", type=Path, help="what the page is made from; it is written beside it")
    folder: Path = parser.parse_args().folder
    if not folder.is_dir():
        parser.error(f"{folder} is no folder")
    try:
        folder.with_suffix(".md").write_text(text_of(folder), encoding="utf-8")
    except (Nap2Error, OSError) as error:
        sys.exit(f"error: {error}")
