"""Every proxy of one network, in one table: name → record."""

from collections.abc import Mapping
from types import MappingProxyType

from nap2.baselines.zero_cost.block_scores import AZ_EXPRESSIVITY, AZ_PROGRESSIVITY, AZ_TRAINABILITY, ZEN
from nap2.baselines.zero_cost.flow_scores import ENTROPIC_SCORE, LOGSYNFLOW, SYNFLOW
from nap2.baselines.zero_cost.gradient_scores import FISHER, GRAD_NORM, GRADSIGN, GRASP, L_SWAG, PLAIN, SNIP, ZICO
from nap2.baselines.zero_cost.image_scores import EPE_NAS, JACOB_COV, MECO, TE_NAS, WRCOR
from nap2.baselines.zero_cost.pattern_scores import (
    NASWOT,
    NASWOT_LEGACY,
    SWAP,
    SWAP_16,
    SWAP_REG,
    SWAP_REINIT,
    TE_NAS_REGIONS,
)
from nap2.baselines.zero_cost.proxy import Proxy
from nap2.baselines.zero_cost.size_scores import FLOPS, L2_NORM, PARAMS

_TABLE = (
    PARAMS,
    FLOPS,
    L2_NORM,
    GRAD_NORM,
    SNIP,
    PLAIN,
    GRASP,
    FISHER,
    JACOB_COV,
    EPE_NAS,
    SYNFLOW,
    LOGSYNFLOW,
    ENTROPIC_SCORE,
    NASWOT,
    NASWOT_LEGACY,
    SWAP,
    SWAP_16,
    SWAP_REG,
    SWAP_REINIT,
    L_SWAG,
    ZICO,
    GRADSIGN,
    WRCOR,
    MECO,
    TE_NAS,
    TE_NAS_REGIONS,
    ZEN,
    AZ_EXPRESSIVITY,
    AZ_PROGRESSIVITY,
    AZ_TRAINABILITY,
)

PROXIES: Mapping[str, Proxy] = MappingProxyType({proxy.name: proxy for proxy in _TABLE})
"""What each proxy needs, how it reads it, which way is up. Votes and fusions over pools: `pool.POOL_SCORES`."""
