"""What an architecture is: one visible table of search spaces."""

from collections.abc import Mapping
from types import MappingProxyType

from nap2.spaces.nasbench101.space import NASBENCH101
from nap2.spaces.nasbench201.space import NASBENCH201
from nap2.spaces.search_space import SearchSpace

SPACES: Mapping[str, SearchSpace] = MappingProxyType({space.name: space for space in (NASBENCH101, NASBENCH201)})
