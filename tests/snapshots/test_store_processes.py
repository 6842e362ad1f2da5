import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

import fakes_store as fakes
import numpy as np
import pytest
import torch_free_writer as writer_script

from nap2.errors import StoreError
from nap2.snapshots.store import SnapshotStore

fork = multiprocessing.get_context("fork")


def in_processes(count, work):
    """What `work(index)` returned in each of `count` processes that start at the same instant."""
    barrier, results = fork.Barrier(count), fork.Queue()

    def run(index):
        barrier.wait()
        try:
            results.put((index, work(index)))
        except Exception as error:  # noqa: BLE001  # whatever it is, the test must see it
            results.put((index, repr(error)))

    processes = [fork.Process(target=run, args=(index,)) for index in range(count)]
    for process in processes:
        process.start()
    found = dict(results.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    return [found[index] for index in range(count)]


def test_eight_processes_may_open_one_fresh_store_at_once(tmp_path):
    for attempt in range(3):
        root = tmp_path / str(attempt)
        found = in_processes(8, lambda _, root=root: len(SnapshotStore.create(root, fakes.setting()).complete()))
        assert found == [0] * 8
        assert sorted(path.name for path in root.iterdir()) == [".staging", "candidates", "failed", "zarr.json"]


def test_of_eight_processes_with_two_settings_one_setting_stays(tmp_path):
    def create(index):
        return SnapshotStore.create(tmp_path / "store", fakes.setting(every=10 + index % 2)).setting.every

    found = in_processes(8, create)
    every = SnapshotStore.open(tmp_path / "store").setting.every
    assert found.count(every) == 4
    assert sum("made with another setting" in str(outcome) for outcome in found) == 4


def test_of_two_workers_after_one_candidate_one_trains_it(tmp_path):
    store = SnapshotStore.create(tmp_path / "store", fakes.setting())

    def work(_):
        trained = []
        for seed in range(6):
            with store.claim(fakes.candidate(seed), 2) as writer:
                if writer is not None:
                    time.sleep(0.02)
                    writer.finish(fakes.trajectory(seed, 2), fakes.curve(2))
                    trained.append(seed)
        return trained

    trained = [seed for seeds in in_processes(4, work) for seed in seeds]
    assert sorted(trained) == list(range(6))  # none twice, none left out
    assert len(store.complete()) == 6
    assert list(store.staging.iterdir()) == []


def test_a_killed_worker_leaves_its_state_to_the_next(tmp_path):
    store = SnapshotStore.create(tmp_path / "store", fakes.setting())
    ready = fork.Event()

    def work():
        with store.claim(fakes.candidate(), 2) as writer:
            writer.state_path.write_bytes(b"step 10")
            (writer.state_path.parent / "write-1").mkdir()
            ready.set()
            time.sleep(600)

    process = fork.Process(target=work)
    process.start()
    assert ready.wait(60)
    with store.claim(fakes.candidate(), 2) as writer:
        assert writer is None  # it lives
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with store.claim(fakes.candidate(), 2) as writer:
        assert writer.state_path.read_bytes() == b"step 10"
        writer.finish(fakes.trajectory(0, 2), fakes.curve(2))
    assert list(store.staging.iterdir()) == []


def test_a_limit_on_file_size_is_one_clear_line(tmp_path):
    store = SnapshotStore.create(tmp_path / "store", fakes.setting())

    def work(_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            fakes.finish(store, seed=0, num_snapshots=23)
        except StoreError as error:
            return str(error)

    assert "the disk or quota is full" in in_processes(1, work)[0]
    assert store.complete() == {}
    assert list(store.staging.iterdir()) == []


def test_a_folder_of_somebody_else_is_one_clear_line(tmp_path):
    store = SnapshotStore.create(tmp_path / "store", fakes.setting())
    for folder in (store.staging, store.shelf, tmp_path):
        folder.chmod(0o555)

    def work(_):
        if os.getuid() == 0:  # whom no mode stops
            os.setuid(65534)
        messages = []
        for attempt in (
            lambda: SnapshotStore.create(tmp_path / "other", fakes.setting()),
            lambda: fakes.finish(store, seed=0, num_snapshots=1),
        ):
            try:
                attempt()
            except StoreError as error:
                messages.append(str(error))
        return messages

    messages = in_processes(1, work)[0]
    for folder in (tmp_path, store.shelf, store.staging):
        folder.chmod(0o755)
    assert len(messages) == 2
    assert all("Permission denied; make it accessible or choose another folder." in text for text in messages)
    assert not any("\n" in text for text in messages)


@pytest.fixture
def tiny_disk(tmp_path):
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a tmpfs here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_loses_nothing_complete(tiny_disk):
    store = SnapshotStore.create(tiny_disk, fakes.setting())
    written = []

    def fill():
        for seed in range(40):
            written.append(fakes.finish(store, seed, num_snapshots=4).id)

    with pytest.raises(StoreError, match="the disk or quota is full; free some space"):
        fill()
    assert written
    assert set(store.complete()) == set(written)
    for candidate_id in written:
        store.read(candidate_id)
    shutil.rmtree(store.folder(written[0]))
    fakes.finish(store, seed=len(written), num_snapshots=4)  # goes on once there is room


class Reader(threading.Thread):
    """Reads whatever is visible, checks every byte, and notes what should not be."""

    def __init__(self, store, ids):
        super().__init__()
        self.store, self.ids, self.stop = store, ids, threading.Event()
        self.problems, self.num_reads = [], 0

    def run(self):
        seen = set()
        while not self.stop.is_set():
            complete = self.store.complete().keys()
            self.problems += [f"lost {candidate_id}" for candidate_id in seen - complete]
            seen |= complete
            for candidate_id in random.sample(sorted(complete), min(10, len(complete))):
                self.check(candidate_id)
            time.sleep(0.02)

    def check(self, candidate_id):
        self.num_reads += 1
        try:
            found = self.store.record(candidate_id).arrays["values"]
        except StoreError as error:
            self.problems.append(str(error))
            return
        if not np.array_equal(found, writer_script.values(self.ids[candidate_id])):
            self.problems.append(f"wrong values of {candidate_id}")


class Writers:
    """One torch-free process that forks a writer at a time."""

    def __init__(self, root):
        command = [sys.executable, writer_script.__file__, str(root)]
        self.server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.num_killed = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def start(self, seeds):
        self.server.stdin.write(" ".join(map(str, seeds)) + "\n")
        self.server.stdin.flush()
        self.pid = int(self.server.stdout.readline())

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.num_killed += self.wait() == -signal.SIGKILL

    def wait(self):
        return int(self.server.stdout.readline())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_kill_at_any_moment_loses_doubles_or_damages_a_candidate(tmp_path):
    store, seeds, draw = SnapshotStore.create(tmp_path / "store", fakes.setting()), range(200), random.Random(0)
    ids = {writer_script.candidate(store.setting, seed).id: seed for seed in seeds}
    readers = [Reader(store, ids) for _ in range(2)]
    for reader in readers:
        reader.start()
    with Writers(store.root) as writers:
        while writers.num_killed < 100:
            writers.start(draw.sample(seeds, 20))
            time.sleep(draw.uniform(0.0, 0.3))
            writers.kill()
        writers.start(seeds)
        assert writers.wait() == 0
    for reader in readers:
        reader.stop.set()
        reader.join()
        assert reader.problems == []
        assert reader.num_reads > 30
    assert sorted(store.complete()) == sorted(ids)
    assert len(list(store.shelf.iterdir())) == len(ids)
    for seed in seeds:  # what was left beside finished candidates goes when they are asked for
        with store.claim(writer_script.candidate(store.setting, seed), 4) as writer:
            assert writer is None
    assert list(store.staging.iterdir()) == []
