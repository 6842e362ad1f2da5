"""`docs/extending.md` is a small project: its files are written and its lines run, in order, in a copy of the code."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nap2.evaluation.records.rows import read_rows

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("conf", "data_modules", "docs/published", "nap2", "train.py")


def fences() -> list[tuple[str, str]]:
    """What each fence of the page says behind its backticks, and its content."""
    spec = importlib.util.spec_from_file_location("build_guides", ROOT / "docs" / "build_guides.py")
    builder = importlib.util.module_from_spec(spec)
    sys.modules["build_guides"] = builder
    spec.loader.exec_module(builder)
    return [(block.info, block.body) for block in builder.blocks((ROOT / "docs" / "extending.md").read_text())]


def changed(folder: Path, diff: str) -> dict[Path, str]:
    """The files that a diff names, with its changes; what a change stands at is there once."""
    texts: dict[Path, str] = {}
    for part in diff.removeprefix("--- ").split("\n--- "):
        name, _, hunks = part.partition("\n")
        path = folder / name
        texts[path] = path.read_text()
        for hunk in hunks.rstrip("\n").split("\n@@\n"):
            before, after = (
                "\n".join(line[1:] for line in hunk.split("\n") if line[0] in kept) for kept in (" -", " +")
            )
            assert texts[path].count(before) == 1, f"{name} has no such place:\n{before}"
            texts[path] = texts[path].replace(before, after)
    return texts


def run(info: str, body: str, folder: Path) -> str:
    """Write the file of a fence, or run its lines; what they printed."""
    if " file=" in info:
        (folder / info.partition(" file=")[2]).write_text(body)
        return ""
    if info == "diff":
        for path, text in changed(folder, body).items():
            path.write_text(text)
        return ""
    is_program = info == "python"
    lines = ["python -"] if is_program else [line.removeprefix("$ ") for line in body.splitlines()]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder), "COLUMNS": "200"}
    said = ""
    for line in lines:
        given = body if is_program else ""
        done = subprocess.run(line, shell=True, cwd=folder, env=env, text=True, input=given, capture_output=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said += done.stdout
    return said


def test_the_page_changes_what_is_there() -> None:
    (diff,) = (body for info, body in fences() if info == "diff")
    assert len(changed(ROOT, diff)) == 3


@pytest.mark.slow
def test_the_guide_on_extending_runs(tmp_path: Path) -> None:
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    said = "".join(run(*fence, tmp_path) for fence in fences())
    rows = read_rows(tmp_path / "runs/chains/functional/results/rows.jsonl")
    assert {"nap2", "sqrt_snip", "params"} <= {row.method for row in rows}
    assert "sqrt_snip': ProxyScore(value=" in said
    assert said.endswith(": 2}\n")  # the store that a loop of one's own has filled
