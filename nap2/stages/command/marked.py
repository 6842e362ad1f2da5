"""A part of a page that a stage writes: what stands between two marks; the words around it are left alone."""

from pathlib import Path


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
