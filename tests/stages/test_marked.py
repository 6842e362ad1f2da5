"""A stage replaces its own part of a page and nothing else."""

from nap2.stages.command.marked import bring_up_to_date, write_between

BEGIN, END = "<!-- begin -->", "<!-- end -->"


def test_the_words_around_are_left_alone_however_often_it_is_written(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"# Head\n\n{BEGIN}\nold\nlines\n{END}\n\nRest with τ.\n", encoding="utf-8")
    for text in ("new", "newer\n\ntable"):
        write_between(page, BEGIN, END, text)
        assert page.read_text(encoding="utf-8") == f"# Head\n\n{BEGIN}\n{text}\n{END}\n\nRest with τ.\n"


def test_a_page_without_marks_is_not_touched(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("My own words.\n")
    write_between(page, BEGIN, END, "table")
    assert page.read_text() == "My own words.\n"


def test_a_page_that_says_it_already_is_not_touched(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"{BEGIN}\ntable\n{END}\n")
    written = page.stat().st_mtime_ns
    write_between(page, BEGIN, END, "table")
    assert page.stat().st_mtime_ns == written


def test_a_page_that_is_no_text_stays_as_it_is_and_a_line_says_so(tmp_path, capsys):
    page = tmp_path / "README.md"
    page.write_bytes(content := b"caf\xe9 " + f"{BEGIN}\nold\n{END}\n".encode())
    bring_up_to_date(page, BEGIN, END, lambda: "new")
    assert page.read_bytes() == content
    said = capsys.readouterr().out
    assert said.startswith(f"the table in {page} stays as it was, for the time being: 'utf-8' codec can't decode")
    assert said.count("\n") == 1
