"""The table of search spaces and what all of them offer."""

import inspect

import pytest

from nap2.errors import NetworkError, UnknownNameError
from nap2.spaces import SPACES

EVERY_SPACE = pytest.mark.parametrize("space", SPACES.values(), ids=lambda space: space.name)


@EVERY_SPACE
def test_a_space_is_listed_under_its_own_name(space):
    assert SPACES[space.name] is space


@EVERY_SPACE
def test_the_default_skeleton_is_that_of_build_and_of_the_parameter_count(space):
    for function in (space.build, space.num_parameters):
        defaults = {name: p.default for name, p in inspect.signature(function).parameters.items() if name != "arch_str"}
        assert defaults == dict(space.default_skeleton)


@EVERY_SPACE
def test_a_space_has_as_many_architectures_as_it_says(space):
    assert len(set(space.arch_strings())) == space.size


@EVERY_SPACE
def test_both_split_flavours_have_their_classes(space):
    assert set(space.classes) == {"isomorphic", "functional"}
    first = space.arch_strings()[0]
    assert all(isinstance(key(first), str) for key in space.classes.values())


@EVERY_SPACE
def test_a_mistyped_skeleton_is_refused_before_anything_is_built(space):
    space.check_skeleton(space.default_skeleton)
    with pytest.raises(UnknownNameError, match=r"'num_clases'.* Did you mean 'num_classes'"):
        space.check_skeleton({"num_clases": 8})
    for value in (0, 2.0, "8", True, None):
        with pytest.raises(NetworkError, match=f"num_classes={value!r}; use a whole number from 1 on"):
            space.check_skeleton({"num_classes": value})
