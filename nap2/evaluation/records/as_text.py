"""One aggregate as text: what stands in the cells of a table."""

from nap2.evaluation.records.aggregate import Aggregate


def method_label(found: Aggregate) -> str:
    """A method's name with what it was fitted on, where it was fitted, and † where the images stand in."""
    row = found.row
    fitted = f" ({row.source}, {row.train_size})" if row.source and row.train_size else ""
    return f"{row.method}{fitted}{' †' if row.stand_in else ''}"


def figure(found: Aggregate | None) -> str:
    """`mean ± std`, `undefined`, or a dash where nothing was measured or no candidate has a score."""
    if found is None or (found.mean is None and not found.row.num_test):
        return "–"
    if found.mean is None:
        return "undefined"
    return f"{found.mean:.3f}" + (f" ± {found.std:.3f}" if found.std is not None else "")


def bounds(found: Aggregate | None) -> str:
    """`[low, high]`, or nothing."""
    if found is None or found.row.low is None or found.row.high is None:
        return ""
    return f"[{found.row.low:.3f}, {found.row.high:.3f}]"


def error(found: Aggregate | None) -> str:
    """The standard error, or a dash where none was computed."""
    value = None if found is None else found.row.standard_error
    return "–" if value is None else f"{value:.3f}"


def seconds(value: float | None) -> str:
    """Three significant digits, or a dash where nothing was measured."""
    return "–" if value is None else f"{value:.3g}"
