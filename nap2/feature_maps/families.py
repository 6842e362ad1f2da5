"""Families of statistics that an encoder may be restricted to (App. H.3).

A restricted encoder still takes whole maps: its weights of the other statistics are zero, so whoever uses it need not
know. The paper slices the channels instead, which differs in how a convolution's initial weights are scaled.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from nap2.errors import check_name
from nap2.schema import STATISTICS

ALL = "all"
FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "general": ("mean", "median", "variance", "std", "minimum", "maximum", "quantiles"),
        "distribution": ("skewness", "kurtosis", "covariance"),
        "norm": ("l1_norm", "l2_norm"),
    }
)


def named(features: str) -> str:
    """The one name of some families (`norm`, `general+norm`, `all`), in the paper's order.

    Raises:
        UnknownNameError: for another family.
    """
    asked = features.split("+")
    for name in asked:
        check_name("family of statistics (model.features)", name, (ALL, *FAMILIES))
    kept = [name for name in FAMILIES if name in asked]
    return ALL if ALL in asked or len(kept) == len(FAMILIES) else "+".join(kept)


def kept_statistics(features: str) -> Tensor:
    """bool `[12]`: which statistics belong to these families."""
    families = FAMILIES if named(features) == ALL else named(features).split("+")
    kept = {statistic for family in families for statistic in FAMILIES[family]}
    return torch.tensor([statistic in kept for statistic in STATISTICS])
