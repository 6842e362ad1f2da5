"""Which candidates a config names, and how a wrong list is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

import train
from nap2.config import Config
from nap2.errors import ArchStringError, ConfigError, NetworkError, UnknownNameError
from nap2.spaces import SPACES
from nap2.stages.command.compose import compose_config
from nap2.stages.pool import candidates
from nap2.stages.pool.candidates import candidates_of, draw, read_arch_strs
from nap2.stages.snapshot_stage import worker_logs

SPACE = SPACES["nasbench201"]
CELL = SPACE.arch_strings()[0]


def config(*overrides: str) -> Config:
    return compose_config(["stage=snapshot", "experiment=digits", "snapshot.num_candidates=20", *overrides])[1]


def test_a_draw_is_seeded_nested_and_holds_one_of_each_functional_class() -> None:
    names = draw(SPACE, 60, seed=1, one_per_class=True)
    assert names[:20] == draw(SPACE, 20, seed=1, one_per_class=True)
    assert names != draw(SPACE, 60, seed=2, one_per_class=True)
    assert len({SPACE.classes["functional"](name) for name in names}) == 60


def test_a_draw_of_more_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """15,625 candidates were 5,044 without a word: one of each class is drawn unless something else is asked for."""
    with pytest.raises(ConfigError, match=r"15626 is more than the 15625 that nasbench201 has; lower it\."):
        candidates_of(config("snapshot.num_candidates=15626", "snapshot.one_per_class=false"))
    monkeypatch.setattr(candidates, "draw", lambda *_: list(SPACE.arch_strings()[:19]))
    message = r"num_candidates=20 is more than the 19 that nasbench201 has \(one of each class\); lower it, or set "
    with pytest.raises(ConfigError, match=message + r"snapshot.one_per_class=false\."):
        candidates_of(config())


def test_shards_are_disjoint_and_complete() -> None:
    whole = candidates_of(config())
    parts = [candidates_of(config(f"snapshot.shard={index}/3")) for index in range(3)]
    assert sorted(c.id for part in parts for c in part) == sorted(c.id for c in whole)


def test_second_seeds_repeat_the_first_candidates() -> None:
    found = candidates_of(config("snapshot.second_seed=5"))
    assert [c.arch_str for c in found[20:]] == [c.arch_str for c in found[:5]]
    assert {c.seed for c in found[20:]} == {found[0].seed + 1}


def test_workers_of_each_array_task_have_logs_of_their_own() -> None:
    """Tasks run on several nodes, which cannot append to one file of a shared file system."""
    folders = [worker_logs(config(*values)).parts[-1] for values in ((), ("snapshot.shard=3/16",))]
    assert folders == ["logs", "task-3"]


def test_a_size_that_no_network_of_the_space_has_is_refused_before_any_candidate_is_named() -> None:
    with pytest.raises(UnknownNameError, match="No size of a nasbench201 network is called 'chanels'"):
        candidates_of(config("+space.skeleton.chanels=8"))
    with pytest.raises(NetworkError, match="nasbench101 network cannot have stem_channels=0"):
        candidates_of(config("space=nasbench101", "space.skeleton.stem_channels=0"))


def test_a_task_beyond_the_end_of_a_short_list_has_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text(f"arch_str\n{CELL}\n")
    asked = ["stage=snapshot", "experiment=digits", "snapshot.second_seed=0", "snapshot.candidates=list.csv"]
    assert train.main([*asked, "snapshot.shard=3/16"]) == 0
    assert "Part 3/16 of the list holds no candidate; nothing to do." in capsys.readouterr().out
    (tmp_path / "list.csv").write_text("arch_str\n")
    assert train.main([*asked, "snapshot.shard=0/16"]) == 2
    assert "names no candidate" in capsys.readouterr().err


@pytest.mark.parametrize(("shard", "message"), [("3", "no index/count"), ("4/4", "Shard 4 of 4 does not exist")])
def test_a_wrong_shard_is_refused(shard: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        candidates_of(config(f"snapshot.shard={shard}"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("architecture,x\nx,1\n", r"has no column called arch_str, it needs one; its header is architecture, x\.$"),
        (f"id;arch_str\n1;{CELL}\n", r"its header is id;arch_str\. Columns are separated by commas\."),
        (f"arch_str,arch_str\n{CELL},{CELL}\n", "has two columns called arch_str, it needs one"),
        ("", "its header is empty"),
        (f"id,arch_str\n1,{CELL}\n2\n", "line 3 has no arch_str; give it one, or remove the line"),
        (f"id,arch_str\n1,{CELL}\n2,\n", "line 3 has no arch_str"),
        (f"arch_str\n\n{CELL}\n{CELL}\n", "line 4: .* stands there twice"),
        (f"arch_str\n{CELL}\n|nor~0|\n", "line 3: .*has 1 node separated"),
    ],
)
def test_a_wrong_list_is_refused_with_its_line(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(content)
    with pytest.raises((ConfigError, ArchStringError), match=message):
        read_arch_strs(path, SPACE)


def test_a_list_saved_by_a_spreadsheet_is_read_and_one_that_is_no_text_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(f"arch_str,note\r\n\r\n{CELL},é\r\n".encode("utf-8-sig"))
    assert read_arch_strs(path, SPACE) == [CELL]
    path.write_text(f"note, arch_str \n,\n a, {CELL} \n , \n")
    assert read_arch_strs(path, SPACE) == [CELL]
    path.write_bytes(f"arch_str,note\n{CELL},é\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"list\.csv is not UTF-8 text"):
        read_arch_strs(path, SPACE)


@pytest.mark.parametrize("rest", ["", "a,long,one\n" * 15_000])
def test_a_quote_that_is_not_closed_is_refused_with_the_line_it_may_stand_in(rest: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f'arch_str,note\n{CELL},"fine"\n"{CELL},x\n{rest}')
    with pytest.raises(ConfigError, match=r"list\.csv is no CSV from line 3 on \(.*\); close the quotes there\.$"):
        read_arch_strs(path, SPACE)


def test_a_missing_list_is_refused() -> None:
    asked = config()
    with pytest.raises(ConfigError, match=r"No candidate list at nowhere\.csv"):
        candidates_of(replace(asked, snapshot=replace(asked.snapshot, candidates="nowhere.csv")))
