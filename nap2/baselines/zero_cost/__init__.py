"""Zero-cost proxies: scores of untrained networks, from shared passes over one mini-batch."""

from nap2.baselines.zero_cost.pass_names import Pass
from nap2.baselines.zero_cost.pool import POOL_SCORES, PoolScore, pool_score
from nap2.baselines.zero_cost.proxy import BatchNorm, Proxy, ProxyScore
from nap2.baselines.zero_cost.registry import PROXIES
from nap2.baselines.zero_cost.score import score_network

__all__ = [
    "POOL_SCORES",
    "PROXIES",
    "BatchNorm",
    "Pass",
    "PoolScore",
    "Proxy",
    "ProxyScore",
    "pool_score",
    "score_network",
]
