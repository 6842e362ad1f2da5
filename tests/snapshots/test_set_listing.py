"""The table of released sets says what lies there."""

from statistics import median

import fakes_set as fakes

from nap2.snapshots.released import Limits, SnapshotSet, add_part
from nap2.snapshots.released.listing import HEADER, sets_in, sets_table


def test_a_line_is_what_the_set_holds(tmp_path):
    seeds = (0, 1, 2)
    store = fakes.store(tmp_path / "store", *((seed, fakes.trajectory(seed, 1 + seed)) for seed in seeds))
    add_part(tmp_path / "sets/digits", store, 7, Limits())
    (tmp_path / "sets/empty folder").mkdir()
    table = sets_table(sets_in(tmp_path / "sets"), lambda setting: "").splitlines()
    assert table[:2] == list(HEADER)
    released = SnapshotSet.open(tmp_path / "sets/digits")
    seconds = [released.read(one).curve.snapshot_seconds[-1] for one in released.complete()]
    assert table[2:] == [
        f"| `digits` | nasbench201 | digits | digits | 3 | 1 × 1, 1 × 2, 1 × 3 | 10 | {median(seconds):.0f} | "
        f"{released.num_bytes_in_all / 1e6:.1f} |"
    ]


def test_networks_of_another_size_are_named(tmp_path):
    add_part(tmp_path / "digits", fakes.store(tmp_path / "store", (0, fakes.trajectory(0, 1))), 7, Limits())
    line = sets_table(sets_in(tmp_path), lambda setting: f"stem_channels {setting.skeleton['stem_channels']}")
    assert "| nasbench201 (stem_channels 4) |" in line


def test_a_folder_without_sets_has_no_line(tmp_path):
    assert sets_in(tmp_path / "nowhere") == []
    assert sets_table([], lambda setting: "").splitlines() == list(HEADER)
