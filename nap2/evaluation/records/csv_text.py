"""A CSV as text, for whoever writes one."""

import csv
import io
from collections.abc import Iterable, Sequence


def to_csv(header: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Values as they are, missing ones (None, and NaN, which is not even itself) as empty cells."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if cell is None or cell != cell else cell for cell in row] for row in rows])
    return text.getvalue()
