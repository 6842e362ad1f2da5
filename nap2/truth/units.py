"""Per cent or fraction: read off the values where that is beyond doubt, asked for where it is not."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nap2.errors import DataFileError
from nap2.truth.table import Floats

UNITS = ("percent", "fraction")


def detected_unit(file: Path, accuracies: Mapping[str, Floats], is_published: bool) -> str:
    """The unit that every column agrees on; a file that could mean both is not guessed at."""
    known = {name: column[~np.isnan(column)] for name, column in accuracies.items()}
    known = {name: column for name, column in known.items() if column.size}
    if not known:
        raise DataFileError(f"{file} has no accuracy at all: every cell is empty.")
    are_fractions = {name: bool(column.max() <= 1.0) for name, column in known.items()}
    if all(are_fractions.values()) and not is_published:
        return "fraction"
    small = {name: int(((column > 0) & (column <= 1)).sum()) for name, column in known.items()}
    if not any(are_fractions.values()) and (is_published or not any(small.values())):
        return "percent"
    name = next((name for name, count in small.items() if count), next(iter(known)))
    raise DataFileError(
        f"{file}: the column {name} may hold fractions or per cent ({small[name]} of {known[name].size} values are"
        " between 0 and 1): set truth.unit=percent or fraction, and remove columns that hold no accuracy."
    )


def fractions(file: Path, name: str, values: Floats, scale: float, line_numbers: Sequence[int]) -> Floats:
    """Accuracies `[A]` divided by `scale` (100 for per cent), NaN where unknown; one out of range is refused."""
    outside = np.flatnonzero((values < 0) | (values > scale))
    if outside.size:
        row = int(outside[0])
        raise DataFileError(
            f"{file}, line {line_numbers[row]}, column {name}: {values[row]:g} is not an accuracy from 0 to {scale:g}"
            f" ({outside.size} such values)."
        )
    scaled: Floats = values / scale
    return scaled
