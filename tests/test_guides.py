"""The guides run as they stand, and what they show was printed by their own code."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from fakes_predictor import random_predictor

from nap2.training.recipe import DIGITS

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_guides", ROOT / "docs" / "build_guides.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_guides"] = module
    spec.loader.exec_module(module)
    return module


def test_the_guides_show_the_output_of_their_own_code(builder: ModuleType) -> None:
    for guide in builder.GUIDES:
        assert not builder.is_stale(guide.read_text()), f"{guide.name} has changed: run make docs"


def test_output_of_other_code_or_of_nobody_is_stale(builder: ModuleType) -> None:
    code = "```python\nprint(1)\n```\n"
    mark = "\n<!-- pasted by docs/build_guides.py: code {}, predictor x 0 -->\n"
    output = "\n<!-- output -->\n```text\n1\n```\n"
    assert not builder.is_stale(code)
    assert builder.is_stale(code + output)
    assert not builder.is_stale(code + output + mark.format(builder.code_hash(code)))
    assert builder.is_stale(code.replace("1", "2") + output + mark.format(builder.code_hash(code)))
    assert builder.plain(code + output + mark.format("a")) == code


def test_blocks_share_a_namespace_and_files_and_their_output_is_replaced(builder: ModuleType, monkeypatch) -> None:
    monkeypatch.setattr(builder, "predictor_mark", lambda: "fake 0")
    text = (
        "Text.\n```python\nx = 2\n```\n```python file=words.py\nWORD = 'file'\n```\n```bash\nnever run\n```\n"
        "```python\nimport words\nprint(x, words.WORD)\n```\nMore.\n```console\n$ echo shell\n```\nEnd.\n"
    )
    once = builder.built(text)
    assert "```\n\n<!-- output -->\n```text\n2 file\n```\nMore." in once
    assert "<!-- output -->\n```text\nshell\n```\nEnd." in once
    assert once.count("<!-- output -->") == 2
    sys.modules.pop("words")
    assert builder.built(once) == once


def test_without_the_predictor_of_the_demo_a_line_says_how_to_get_it(
    builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAP2_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr(builder, "GUIDES", ())
    assert builder.main([]) == 1
    assert "run make demo, then python train.py stage=publish experiment=digits" in capsys.readouterr().out
    random_predictor(every=10, num_snapshots=2).save(tmp_path / builder.PREDICTOR, "")
    assert builder.main([]) == 0


@pytest.mark.slow
def test_the_guide_on_ranking_runs(builder: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    setting = {"recipe": DIGITS.as_dict()}
    random_predictor(every=10, num_snapshots=2, num_heads=2, setting=setting).save(tmp_path / builder.PREDICTOR, "")
    monkeypatch.setenv("NAP2_CHECKPOINTS", str(tmp_path))
    try:
        text = builder.built((ROOT / "docs" / "rank-your-own-models.md").read_text())
    finally:
        torch.set_num_threads(threads)
        sys.modules.pop("my_models", None)
    assert not builder.is_stale(text)
    assert text.count("<!-- output -->") >= 5
    assert "% on unseen digits, predicted rank" in text
    assert "rank  model   accuracy   spread  mini-batches  seconds" in text
