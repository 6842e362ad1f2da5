"""Programs end as they should whatever their output can show, and whoever reads it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import train
from nap2.stages.command.console import RunLog
from nap2.terminal import GONE

ROOT = Path(train.__file__).parent
NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_help_shows_on_a_terminal_without_unicode_and_from_a_notebook() -> None:
    """It ends with the words that name every setting; a notebook's backend once stopped all that imports matplotlib."""
    code = f"import runpy, sys; sys.argv = [{train.__file__!r}]; sys.path.insert(0, {str(ROOT)!r})\n"
    code += "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\nexcept SystemExit as end:\n"
    code += "    import matplotlib\n    sys.exit(end.code)"
    environment = {**os.environ, **NO_UTF8, "MPLBACKEND": "module://not_installed.here"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"? one typed object ? run the stage" in result.stdout
    assert result.stdout.endswith(b"every value: python train.py stage=snapshot --cfg job\n")


@pytest.mark.parametrize("program", [[train.__file__, "--help"], ["-m", "nap2", "list"]])
def test_a_reader_that_has_gone_gets_no_stack(program: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with open(theirs, "wb") as gone:
        result = subprocess.run(
            [sys.executable, *program], cwd=ROOT, stdout=gone, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (result.returncode, result.stderr) == (GONE, "")


def test_a_log_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from nap2.stages.command.console import RunLog\n"
    script += "RunLog(Path(sys.argv[1]), 'evaluate', 'name: \\u03c4\\n').write('\\u03c4 0.5')"
    command = [sys.executable, "-c", script, str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **NO_UTF8}, check=True)
    RunLog(tmp_path, "evaluate", "").write("again")
    assert "τ 0.5\n" in (tmp_path / "evaluate.log").read_text("utf-8")
    assert (tmp_path / "evaluate.yaml").read_text("utf-8") == "name: τ\n"
