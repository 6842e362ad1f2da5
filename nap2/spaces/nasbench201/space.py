"""The record of NAS-Bench-201."""

from types import MappingProxyType

from nap2.spaces.nasbench201.cell import EDGES, OPERATIONS, check
from nap2.spaces.nasbench201.classes import functional_class, isomorphic_class
from nap2.spaces.nasbench201.enumeration import arch_strings
from nap2.spaces.nasbench201.graph_features import GRAPH_FEATURE_NAMES, graph_features
from nap2.spaces.nasbench201.network import build
from nap2.spaces.nasbench201.size import num_parameters
from nap2.spaces.search_space import SearchSpace

NASBENCH201 = SearchSpace(
    name="nasbench201",
    size=len(OPERATIONS) ** len(EDGES),
    build=build,
    default_skeleton=MappingProxyType({"num_classes": 10, "stem_channels": 16, "cells_per_stage": 5}),
    check=check,
    arch_strings=arch_strings,
    classes=MappingProxyType({"isomorphic": isomorphic_class, "functional": functional_class}),
    num_parameters=num_parameters,
    graph_features=graph_features,
    graph_feature_names=GRAPH_FEATURE_NAMES,
)
