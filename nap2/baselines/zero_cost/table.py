"""The table of all proxies as Markdown: `docs/proxies.md` is this text."""

from nap2.baselines.zero_cost.pool import POOL_SCORES
from nap2.baselines.zero_cost.proxy import Proxy
from nap2.baselines.zero_cost.registry import PROXIES

_HEAD = """# Zero-cost proxies

Written by `nap2.baselines.zero_cost.table.proxies_page()` from `PROXIES` and `POOL_SCORES`; a test holds it to them.
w: weights of convolutions and linear layers. L: mean cross-entropy of the batch. "Up" is the published direction.
Normalisation: `batch` reads the statistics of the images at hand (training mode), `running` the stored ones,
`off` is the identity, `unused` runs nothing. A score without a value is a failure with a reason, never a number.

| proxy | what it computes | up | normalisation | arithmetic | images | passes | source |
|---|---|---|---|---|---|---|---|
"""
_POOL_HEAD = """
## Over a pool of networks

| score | what it computes | needs accuracies | source |
|---|---|---|---|
"""
_ACCURACY = {True: "a sample", False: "no"}


def proxies_page() -> str:
    """The whole page, with a trailing newline."""
    singles = "".join(_row(proxy) for proxy in PROXIES.values())
    pools = "".join(
        f"| `{pool.name}` | {_cell(pool.definition)} | {_ACCURACY[pool.needs_accuracy]} | {pool.source} |\n"
        for pool in POOL_SCORES.values()
    )
    return _HEAD + singles + _POOL_HEAD + pools


def _row(proxy: Proxy) -> str:
    images = {None: "all", 0: "none"}.get(proxy.images, f"first {proxy.images}")
    passes = ", ".join(sorted(name.value for name in proxy.needs))
    up = "higher" if proxy.higher_is_better else "lower"
    cells = (_cell(proxy.definition), up, proxy.batch_norm.value, proxy.dtype, images, passes, proxy.source)
    return f"| `{proxy.name}` | {' | '.join(cells)} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
