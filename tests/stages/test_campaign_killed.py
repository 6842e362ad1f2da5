"""`kill -9` of a real campaign's processes; `python tests/stages/killed_campaign.py` does it with 200 candidates."""

import pytest
from killed_campaign import KilledCampaign

SMALL = ("snapshot.num_snapshots=2", "space.skeleton.stem_channels=4")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_real_campaign_killed_three_times_equals_an_undisturbed_one(tmp_path):
    campaign = KilledCampaign(tmp_path, num_candidates=24, overrides=SMALL)
    report = campaign.run(kills=("worker", "leader", "worker"), sample=6)
    assert report.is_good(), report.sentences()
    assert len(report.kills) == 3
    assert report.compared == 6
