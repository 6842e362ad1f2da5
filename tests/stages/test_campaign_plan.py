"""The plan and the overview: figures before and during a campaign."""

import itertools
import json
import os
import shutil
import socket
from dataclasses import replace

import pytest
from fakes_campaign import STEPS, candidates, curve, make_store, make_train, trajectory

from data_modules.images import ImageDataModule, read_digits
from nap2.errors import StoreError
from nap2.snapshots.candidate_folder import STORED_ARRAYS
from nap2.snapshots.claims import STALE_AFTER_S
from nap2.snapshots.layers import recorded_layers
from nap2.snapshots.layout import num_entries
from nap2.snapshots.manifest import Candidate, Setting
from nap2.spaces import SPACES
from nap2.stages.campaign import ledger, plan
from nap2.stages.campaign.ledger import Counts, Ledger
from nap2.stages.campaign.overview import LineOverview, Pace
from nap2.stages.campaign.plan import plan_campaign
from nap2.stages.campaign.worker import run_worker
from nap2.stages.command.compose import compose_config
from nap2.stages.snapshot_stage import steps_to_the_end

SKELETON = {"num_classes": 10, "stem_channels": 16, "cells_per_stage": 5}
NB201 = Setting("nasbench201", SKELETON, "cifar10", {"name": "nasbench201"}, every=100)


def nb201(count):
    return [Candidate(NB201, name, seed=4) for name in SPACES["nasbench201"].arch_strings()[:: 15625 // count][:count]]


@pytest.fixture
def no_networks(monkeypatch):
    """The fake candidates have no network to measure."""
    monkeypatch.setattr(plan, "candidate_bytes", lambda candidate, length: 1000.0 * length)


def test_bytes_follow_from_the_layers_of_the_real_network():
    candidate = nb201(3)[1]
    units = [layer.units for layer in recorded_layers(SPACES["nasbench201"].build(candidate.arch_str, **SKELETON))]
    assert plan.candidate_bytes(candidate, 23) == pytest.approx(0.9 * 4 * 2 * 23 * num_entries(units))


def test_a_plan_of_the_published_campaign_names_hours_gigabytes_and_files(tmp_path):
    asked = nb201(10)
    text = plan_campaign(tmp_path / "store", asked, 23, workers=2)
    assert f"Plan for {tmp_path}/store: 10 candidates × 23 snapshots, one every 100 steps" in text
    assert "0 complete, 0 failed, 0 at work, 10 to train" in text
    hours = 10 * 23 * 9 / 3600
    assert f"{hours:.2f} of training, {hours / 2:.2f} with 2 workers (207.0 s a candidate, published for a GTX" in text
    assert "150 in 80 folders" in text
    assert not (tmp_path / "store").exists()


def test_hours_are_measured_where_something_is_complete(tmp_path, no_networks):
    store, asked = make_store(tmp_path / "store"), candidates(5)
    run_worker(store, asked[:2], STEPS, make_train())
    text = plan_campaign(store.root, asked, STEPS, workers=1)
    assert "2 complete, 0 failed, 0 at work, 3 to train" in text
    assert "6.0 s a candidate, measured on 2 candidates of this store" in text
    assert "12.0 s a candidate" in plan_campaign(store.root, asked, 2 * STEPS, workers=1)


def test_a_damaged_candidate_does_not_stop_a_plan(tmp_path, no_networks):
    store, asked = make_store(tmp_path / "store"), candidates(3)
    run_worker(store, asked[:2], STEPS, make_train())
    (store.folder(asked[0].id) / "values" / "c.0.0.0").unlink()
    assert "measured on 1 candidate of this store" in plan_campaign(store.root, asked, STEPS, workers=1)


def test_a_plan_names_what_was_copied_in_half(tmp_path, no_networks):
    """It counts as complete by its name, and nothing would be trained."""
    store, asked = make_store(tmp_path / "store"), candidates(3)
    run_worker(store, asked[:2], STEPS, make_train())
    assert "files missing" not in plan_campaign(store.root, asked, STEPS, workers=1)
    folder = store.folder(asked[0].id)
    shutil.rmtree(folder / "values")
    text = plan_campaign(store.root, asked, STEPS, workers=1)
    assert "2 complete, 0 failed, 0 at work, 1 to train" in text
    assert f"\n1 candidate of {store.root} counted as complete, with files missing" in text
    assert f"(first: {folder}); stage=index names all" in text


def test_hours_to_the_end_are_those_of_the_whole_run(tmp_path, no_networks):
    """Of two stored candidates, which took 2 s a step, one was not trained to its end."""
    store, asked = make_store(tmp_path / "store"), candidates(3)
    run_worker(store, asked[:1], STEPS, make_train())
    with store.claim(asked[1], STEPS) as writer:
        writer.finish(trajectory(asked[1], STEPS), replace(curve(asked[1], STEPS), final_accuracy=None))
    text = plan_campaign(store.root, asked, STEPS, workers=1, steps_to_the_end=50)
    assert "one every 1 step, then to the end, after 50 steps\n" in text
    assert "1 complete, 0 failed, 0 at work, 2 to train" in text
    assert "100.0 s a candidate, measured on 2 candidates of this store" in text
    assert "6.0 s a candidate" in plan_campaign(store.root, asked, STEPS, workers=1)


def test_the_published_pace_knows_of_the_end_too(tmp_path):
    text = plan_campaign(tmp_path / "store", nb201(2), 1, workers=1, steps_to_the_end=200 * 196)
    assert f"({200 * 196 * 9 / 100:.1f} s a candidate, published for a GTX" in text
    assert "then to the end, after 39,200 steps" in text


@pytest.mark.parametrize("count", ["1297", "null"])
def test_the_steps_of_a_whole_run_are_those_of_its_images(count):
    config = compose_config(["stage=snapshot", "experiment=digits", "recipe.epochs=3", f"dataset.num_train={count}"])[1]
    images = read_digits()
    run = ImageDataModule(images, config.recipe["batch_size"], seed=0).for_run(0, 0, 10**6, "cpu").train_dataloader()
    epoch = next(step for step, seen in enumerate(itertools.accumulate(len(y) for _, y in run), 1) if seen >= 1297)
    assert steps_to_the_end(config) == 3 * epoch


def test_unknown_hours_are_called_unknown(tmp_path, no_networks):
    text = plan_campaign(tmp_path / "store", candidates(3), STEPS, workers=1)
    assert "unknown: train a few candidates first (snapshot.num_candidates=6), then ask again" in text


def test_the_published_hours_are_those_of_one_search_space(tmp_path):
    setting = replace(NB201, space="nasbench101")
    text = plan_campaign(tmp_path / "store", [Candidate(setting, "conv3x3~0|output~1", seed=4)], 23, workers=1)
    assert "unknown: train a few candidates first" in text


def test_failed_candidates_are_planned_when_they_are_to_be_tried_again(tmp_path, no_networks):
    store, asked = make_store(tmp_path / "store"), candidates(3)
    run_worker(store, asked[:2], STEPS, make_train(disaster={"arch-1": "diverge"}))
    text = plan_campaign(store.root, asked, STEPS, workers=1)
    assert "1 complete, 1 failed, 0 at work, 1 to train; retry_failed=true trains the failed ones too" in text
    text = plan_campaign(store.root, asked, STEPS, workers=1, retry_failed=True)
    assert "1 complete, 0 failed, 0 at work, 2 to train\n" in text


def test_a_store_of_another_setting_is_refused(tmp_path):
    make_store(tmp_path / "store")
    with pytest.raises(StoreError, match=r"made with another setting .* dataset: 'cifar10' ≠ 'fake'"):
        plan_campaign(tmp_path / "store", nb201(2), STEPS, workers=1)


def test_the_number_of_files_is_that_of_a_stored_candidate(tmp_path):
    store, (asked,) = make_store(tmp_path / "store"), candidates(1)
    with store.claim(asked, STEPS) as writer:
        full = curve(asked, STEPS)
        full.epoch_accuracy = [0.5]
        writer.finish(trajectory(asked, STEPS), full)
    paths = list(store.folder(asked.id).rglob("*"))
    assert sum(path.is_file() for path in paths) == plan.FILES_PER_CANDIDATE == 1 + 2 * len(STORED_ARRAYS)
    assert 1 + sum(path.is_dir() for path in paths) == plan.FOLDERS_PER_CANDIDATE


def test_the_ledger_counts_what_the_store_holds(tmp_path):
    store, asked = make_store(tmp_path / "store"), candidates(5)
    run_worker(store, asked[:2], STEPS, make_train(disaster={"arch-1": "diverge"}))
    run_worker(store, [Candidate(asked[0].setting, "not asked for", 0)], STEPS, make_train())
    with store.claim(asked[3], STEPS):
        assert Ledger(store, asked, STEPS).counts() == Counts(total=5, done=1, failed=1, running=1)
    assert Ledger(store, asked, STEPS).counts().running == 0
    assert Ledger(store, asked, STEPS + 1).counts().done == 0
    assert Ledger(store, asked, STEPS, tries_before={asked[1].id: 1}).counts().failed == 0


def test_rate_and_remaining_time_come_from_what_was_settled_since_the_first_look():
    pace = Pace()
    assert pace.describe(Counts(200, 10, 0, 2), now=0.0) == "10 of 200 done, 2 running, 0 failed"
    line = pace.describe(Counts(200, 29, 1, 2), now=60.0)
    assert line == "29 of 200 done, 2 running, 1 failed, 1,200 an hour, 0:08:30 left"


def test_a_batch_log_gets_a_line_now_and_then(capsys):
    overview = LineOverview(every_s=3600)
    overview.update(Counts(4, 1, 0, 1), None)
    assert capsys.readouterr().out == ""
    overview.every_s = 0
    overview.update(Counts(4, 2, 0, 1), None)
    assert capsys.readouterr().out.startswith("2 of 4 done, 1 running, 0 failed, ")


def test_a_process_that_got_the_number_of_a_dead_owner_is_not_taken_for_it(tmp_path):
    store, (asked,) = make_store(tmp_path / "store"), candidates(1)
    with store.claim(asked, STEPS):
        owner = store.staging / asked.id / "owner.json"
        long_ago = owner.stat().st_mtime - STALE_AFTER_S - 60
        os.utime(owner, (long_ago, long_ago))
        assert Ledger(store, [asked], STEPS).counts().running == 0
        os.utime(owner)
        assert Ledger(store, [asked], STEPS).counts().running == 1


def test_a_process_of_another_machine_of_the_same_name_counts_while_its_heart_beats(tmp_path, monkeypatch):
    store, (asked,) = make_store(tmp_path / "store"), candidates(1)
    owner = {"machine": "another kernel", "host": socket.gethostname(), "pid": 17, "token": "theirs"}
    (store.staging / asked.id).mkdir()
    (store.staging / asked.id / "owner.json").write_text(json.dumps(owner))
    monkeypatch.setattr(ledger, "process_exists", lambda pid: False)
    assert Ledger(store, [asked], STEPS).counts().running == 1
