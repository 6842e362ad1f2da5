import errno
import fcntl
import json
import os
import shutil
import threading
import time

import pytest

from nap2.snapshots import claims
from nap2.snapshots.claims import claimed


def foreign_owner(folder, age_s, machine="another kernel"):
    folder.mkdir(exist_ok=True)
    owner = {"machine": machine, "host": "node17", "pid": os.getpid(), "token": "theirs"}
    (folder / "owner.json").write_text(json.dumps(owner))
    then = time.time() - age_s
    os.utime(folder / "owner.json", (then, then))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "candidate"


@pytest.fixture
def without_locks(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)


def assert_it_beats(folder):
    os.utime(folder / "owner.json", (0, 0))
    deadline = time.monotonic() + 20
    while os.stat(folder / "owner.json").st_mtime == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert os.stat(folder / "owner.json").st_mtime > 0


def test_one_claim_at_a_time_in_one_process(folder):
    with claimed(folder) as first:
        assert first is not None
        results = []

        def try_it():
            with claimed(folder) as second, claimed(folder.with_name("third")) as third:
                results.append((second, third is not None))

        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
        assert results == [(None, True)]
        assert first.is_mine()
        with claimed(folder.with_name("other")) as other:
            assert other is not None
    with claimed(folder) as again:
        assert again is not None
    assert not folder.exists()


def test_a_folder_with_content_outlives_the_claim(folder):
    with claimed(folder):
        (folder / "state.pt").write_bytes(b"x")
    assert sorted(p.name for p in folder.iterdir()) == ["claim.lock", "state.pt"]
    with claimed(folder) as claim:
        claim.keep_folder = False
    assert not folder.exists()


def test_a_dead_process_of_this_machine_is_followed_at_once(folder):
    foreign_owner(folder, age_s=0, machine=claims._machine())
    with claimed(folder) as claim:
        assert claim is not None


def test_another_machine_is_believed_while_its_heart_beats(folder):
    foreign_owner(folder, age_s=claims.STALE_AFTER_S / 2)
    with claimed(folder) as claim:
        assert claim is None
    assert claims.read_owner(folder).token == "theirs"


@pytest.mark.parametrize("put_back_s", [0, 86_400])
def test_another_machine_is_dead_when_its_heart_stopped(folder, put_back_s):
    """Also where the server's clock was a day ahead when it beat for the last time."""
    foreign_owner(folder, age_s=claims.STALE_AFTER_S + 60 - put_back_s)
    with claimed(folder) as claim:
        assert claim.is_mine()


def test_a_claim_that_was_taken_over_knows_and_takes_nothing_away(folder):
    with claimed(folder) as claim:
        foreign_owner(folder, age_s=0)
        assert not claim.is_mine()
    assert claims.read_owner(folder).token == "theirs"


def test_the_heart_beats(folder, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT_S", 0.02)
    with claimed(folder):
        assert_it_beats(folder)


@pytest.mark.usefixtures("without_locks")
def test_without_locks_the_heartbeat_decides(folder):
    foreign_owner(folder, age_s=0)
    with claimed(folder) as claim:
        assert claim is None
    foreign_owner(folder, age_s=claims.STALE_AFTER_S + 60)
    with claimed(folder) as claim:
        assert claim.is_mine()


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_living_process_of_this_machine_is_believed(folder):
    foreign_owner(folder, age_s=0, machine=claims._machine())  # its pid is ours: alive
    with claimed(folder) as claim:
        assert claim is None


@pytest.mark.usefixtures("without_locks")
def test_without_locks_the_process_numbers_of_another_container_say_nothing(folder, monkeypatch):
    foreign_owner(folder, age_s=0, machine=claims._machine())  # the same kernel, another host name
    monkeypatch.setattr(claims, "process_exists", lambda pid: False)
    with claimed(folder) as claim:
        assert claim is None


def test_another_refusal_of_the_disk_is_not_swallowed(folder, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(OSError, match="Input/output"), claimed(folder):
        pass
    monkeypatch.undo()
    with claimed(folder) as claim:  # and nothing stays claimed
        assert claim is not None


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_folder_that_goes_meanwhile_is_somebody_elses(folder, monkeypatch):
    write = claims.write_atomically

    def write_too_late(path, content):
        shutil.rmtree(path.parent)  # by its owner, who has just completed the candidate
        write(path, content)

    monkeypatch.setattr(claims, "write_atomically", write_too_late)
    with claimed(folder) as claim:
        assert claim is None


@pytest.mark.usefixtures("without_locks")
def test_without_locks_the_files_of_another_taker_are_left_alone(folder, monkeypatch):
    others = folder / ".owner.json.0123.tmp"
    foreign_owner(folder, age_s=0)
    os.rename(folder / "owner.json", others)  # not yet in place

    def sleep(_):
        os.replace(others, folder / "owner.json")  # the last one wins

    monkeypatch.setattr(claims.time, "sleep", sleep)
    with claimed(folder) as claim:
        assert claim is None
    assert claims.read_owner(folder).token == "theirs"


def test_the_heart_beats_on_after_the_disk_has_hung(folder, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT_S", 0.02)
    read_owner, refusals = claims.read_owner, []

    def hang(path):
        if threading.current_thread().name == "nap2-claim" and len(refusals) < 2:
            refusals.append(path)
            raise OSError(errno.ESTALE, "Stale file handle")
        return read_owner(path)

    monkeypatch.setattr(claims, "read_owner", hang)
    with claimed(folder):
        assert_it_beats(folder)
    assert len(refusals) == 2


@pytest.mark.parametrize("owner", ["another user", "this user"])
def test_a_folder_that_another_user_alone_may_write_is_theirs(folder, monkeypatch, owner):
    """With two users and one store, one must not end the campaign of the other by what is at work."""
    folder.mkdir()
    uid = os.stat(folder).st_uid
    monkeypatch.setattr(os, "geteuid", lambda: uid + (owner == "another user"))
    open_file = os.open

    def refuse(path, *arguments):
        if str(path).endswith("claim.lock"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return open_file(path, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    if owner == "another user":
        with claimed(folder) as claim:
            assert claim is None
    else:
        with pytest.raises(PermissionError), claimed(folder):
            pass
