"""The competitors: zero-cost proxies, learning-curve extrapolation, regression on the cell's graph."""

from nap2.baselines.zero_cost import POOL_SCORES, PROXIES, ProxyScore, pool_score, score_network

__all__ = ["POOL_SCORES", "PROXIES", "ProxyScore", "pool_score", "score_network"]
