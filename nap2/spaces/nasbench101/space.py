"""The record of NAS-Bench-101."""

from types import MappingProxyType

from nap2.spaces.nasbench101.canonical import arch_str_of_graph, check
from nap2.spaces.nasbench101.classes import functional_class, isomorphic_class
from nap2.spaces.nasbench101.enumeration import SIZE, arch_strings
from nap2.spaces.nasbench101.graph_features import GRAPH_FEATURE_NAMES, graph_features
from nap2.spaces.nasbench101.network import build
from nap2.spaces.nasbench101.size import num_parameters
from nap2.spaces.search_space import SearchSpace

NASBENCH101 = SearchSpace(
    name="nasbench101",
    size=SIZE,
    build=build,
    default_skeleton=MappingProxyType({"num_classes": 10, "stem_channels": 128, "cells_per_stage": 3}),
    check=check,
    arch_strings=arch_strings,
    classes=MappingProxyType({"isomorphic": isomorphic_class, "functional": functional_class}),
    num_parameters=num_parameters,
    graph_features=graph_features,
    graph_feature_names=GRAPH_FEATURE_NAMES,
    arch_str_of_graph=arch_str_of_graph,
)
