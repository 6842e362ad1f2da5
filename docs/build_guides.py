"""Run the code of a guide and paste what it printed: `make docs`. Output in a guide is never typed by hand.

In a guide, a fence opened by
  ```python                  is run, all in one namespace, in a fresh folder
  ```python file=NAME        is written to that folder as NAME
  ```console                 has its lines after `$ ` run by a shell there
  ```python norun (or bash)  is only shown
What a block prints follows it in a ```text fence under the line `<!-- output -->`; both are replaced at every run.
The last line of the guide names the code and the predictor that the output came from; `--check` refuses a guide whose
code has changed since.
"""

import contextlib
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

GUIDES = (Path(__file__).parent / "rank-your-own-models.md",)
PREDICTOR = "digits"
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```\n", re.M | re.S)
OUTPUT = re.compile(r"\n<!-- output -->\n```text\n.*?^```\n", re.M | re.S)
MARK = re.compile(
    r"\n<!-- pasted by docs/build_guides\.py: code (?P<code>\w+), predictor (?P<predictor>[\w-]+ \w+) -->\n"
)


@dataclass(frozen=True)
class Block:
    """One fence of a guide: what its first line says, its content, and where it ends in the text."""

    info: str
    body: str
    end: int

    @property
    def runs(self) -> bool:
        """Whether building the guide runs it or writes it to a file."""
        return self.info in ("python", "console") or self.info.startswith("python file=")


def main(arguments: Sequence[str]) -> int:
    """Rebuild every guide, or `--check` that none is older than its code."""
    stale = [guide.name for guide in GUIDES if is_stale(guide.read_text())]
    if "--check" in arguments:
        print(f"run make docs: the code of {', '.join(stale)} has changed" if stale else "guides are as pasted")
        return 1 if stale else 0
    if missing := without_predictor():
        print(missing)
        return 1
    for guide in GUIDES:
        guide.write_text(built(guide.read_text()))
        print(f"built {guide.name}")
    return 0


def without_predictor() -> str:
    """What to say, and to do, where the predictor of the guides is not there; empty where it is."""
    from nap2.errors import UnknownNameError
    from nap2.inference.lookup import find_checkpoint

    try:
        find_checkpoint(PREDICTOR)
    except UnknownNameError:
        return (
            f"The guides need the demo's predictor, {PREDICTOR}, and none is there; run make demo, then "
            "python train.py stage=publish experiment=digits."
        )
    return ""


def plain(text: str) -> str:
    """The guide without anything that was pasted."""
    return MARK.sub("", OUTPUT.sub("", text))


def blocks(text: str) -> list[Block]:
    """The fences of a plain guide."""
    return [Block(found["info"].strip(), found["body"], found.end()) for found in FENCE.finditer(text)]


def code_hash(text: str) -> str:
    """Twelve digits that change when any code that runs does."""
    code = "\0".join(f"{block.info}\0{block.body}" for block in blocks(plain(text)) if block.runs)
    return hashlib.sha256(code.encode()).hexdigest()[:12]


def is_stale(text: str) -> bool:
    """Whether the guide shows output of other code than it holds, or output of unknown origin."""
    mark = MARK.search(text)
    return bool(OUTPUT.search(text)) if mark is None else mark["code"] != code_hash(text)


def built(text: str) -> str:
    """The guide with the output of a fresh run."""
    text = plain(text)
    pieces, start = [], 0
    namespace: dict[str, object] = {"__name__": "__main__"}
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path.insert(0, folder)
        try:
            for block in blocks(text):
                output = run(block, namespace)
                pieces.append(text[start : block.end])
                if output.strip():
                    pieces.append(f"\n<!-- output -->\n```text\n{output.rstrip()}\n```\n")
                start = block.end
        finally:
            os.chdir(home)
            sys.path.remove(folder)
    mark = f"\n<!-- pasted by docs/build_guides.py: code {code_hash(text)}, predictor {predictor_mark()} -->\n"
    return "".join(pieces) + text[start:].rstrip("\n") + "\n" + mark


def run(block: Block, namespace: dict[str, object]) -> str:
    """Run one block in the working directory; what it printed."""
    if block.info.startswith("python file="):
        Path(block.info.removeprefix("python file=")).write_text(block.body)
    if block.info == "console":
        return "".join(shell(line.removeprefix("$ ")) for line in block.body.splitlines() if line.startswith("$ "))
    if block.info != "python":
        return ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.body, "<guide>", "exec"), namespace)
    return printed.getvalue()


def shell(line: str) -> str:
    """Standard output of one line; `python` is this one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        line, shell=True, text=True, stdout=subprocess.PIPE, env={**os.environ, "PATH": path}, check=True
    )
    return done.stdout


def predictor_mark() -> str:
    """Name and twelve digits of the predictor behind the output."""
    from nap2.inference.lookup import find_checkpoint

    spec = (find_checkpoint(PREDICTOR) / "spec.json").read_bytes()
    return f"{PREDICTOR} {hashlib.sha256(spec).hexdigest()[:12]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
