"""A part of a page that a stage writes: what stands between two marks; the words around it are left alone."""

from collections.abc import Callable
from pathlib import Path

from nap2.errors import Nap2Error
from nap2.stages.command.console import say


def bring_up_to_date(page: Path, begin: str, end: str, text: Callable[[], str]) -> None:
    """`write_between` of a table of all folders beside the page, made by `text`, once another folder is written.

    That one stays written, whatever its neighbours or the page refuse: a line says so.
    """
    try:
        write_between(page, begin, end, text())
    except (Nap2Error, OSError, UnicodeDecodeError) as error:
        why = str(error).rstrip(".")
        say(f"the table in {page} stays as it was, for the time being: {why}. Then call again.")


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marks of a page; the marks stay. A page without them is left as it is, and so is
    one that says it already: it may be read-only.

    Args:
        page: Markdown.
        begin: the line before.
        end: the line after.
        text: what stands between them from now on.
    """
    content = page.read_text(encoding="utf-8")
    head, found, rest = content.partition(begin)
    new = f"{head}{begin}\n{text}\n{end}{rest.partition(end)[2]}"
    if found and new != content:
        page.write_text(new, encoding="utf-8")
