"""The tables are complete, say what they do, and the page in the documentation is theirs."""

import pytest

from nap2.baselines import POOL_SCORES, PROXIES
from nap2.baselines.zero_cost.pass_names import BATCH_RUN, Pass
from nap2.baselines.zero_cost.passes import PRODUCERS

PROMISED = {
    "params",
    "flops",
    "l2_norm",
    "grad_norm",
    "snip",
    "grasp",
    "fisher",
    "plain",
    "jacob_cov",
    "synflow",
    "logsynflow",
    "naswot",
    "epe_nas",
    "zen",
    "zico",
    "swap",
    "swap_reg",
    "l_swag",
    "entropic_score",
    "wrcor",
    "spw",
    "sjw",
    "az_nas",
    "meco",
    "te_nas",
    "gradsign",
    "libra",
}


def test_every_promised_score_exists():
    assert set(PROXIES) | set(POOL_SCORES) >= PROMISED


@pytest.mark.parametrize("name", PROXIES)
def test_a_record_is_complete(name):
    proxy = PROXIES[name]
    assert proxy.name == name
    assert proxy.needs
    assert all((proxy.definition, proxy.source, proxy.dtype))
    assert proxy.score.__doc__


def test_every_pass_has_one_producer():
    assert set(PRODUCERS) | BATCH_RUN == set(Pass)
    assert not set(PRODUCERS) & BATCH_RUN


def test_tables_cannot_be_changed():
    with pytest.raises(TypeError):
        PROXIES["snip"] = None
    with pytest.raises(AttributeError):
        PROXIES["snip"].higher_is_better = False


def test_members_of_pool_scores_are_proxies():
    assert all(member in PROXIES for score in POOL_SCORES.values() for member in score.members)
