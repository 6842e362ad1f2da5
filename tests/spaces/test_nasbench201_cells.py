"""Arch strings: the grammar, its errors, and the official order."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nap2.errors import ArchStringError
from nap2.spaces import SPACES
from nap2.spaces.nasbench201.cell import OPERATIONS, Cell

SPACE = SPACES["nasbench201"]
CELLS = st.tuples(*[st.sampled_from(OPERATIONS)] * 6).map(Cell)
FIRST = "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|"


@given(CELLS)
def test_parsing_is_the_inverse_of_writing(cell):
    assert Cell.parse(str(cell)) == cell


def test_operations_stand_in_the_order_of_their_edges():
    cell = Cell.parse("|none~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|")
    assert cell.operations == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "none")


def test_the_official_order_is_reproduced():
    names = SPACE.arch_strings()
    assert len(names) == len(set(names)) == SPACE.size == 15625
    assert names[0] == FIRST
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()  # checked against the published table
    assert digest == "83abc799e45cf34e9d2163654668ab998b9a54d01c39e72ca1f71f2cdf356d84"


@pytest.mark.parametrize(
    ("arch_str", "message"),
    [
        ("", r"has 1 node separated by '\+', a NAS-Bench-201 cell has 3; write \|op~0\|"),
        (FIRST + "+|none~0|", r"has 4 nodes"),
        (FIRST[1:], r"^node 1 \('avg_pool_3x3~0\|', from character 1 of .*begin and end with '\|'"),
        (FIRST[:-1], r"^node 3 \(.*, from character 50 of .*begin and end with '\|'"),
        (FIRST.replace("|avg_pool_3x3~0|", "|avg_pool_3x3~0|none~1|"), r"node 1 .* has 2 edges; node 1 has 1"),
        (FIRST.replace("|avg_pool_3x3~0|", "|"), r"^node 1 \('\|', from character 1"),
        (FIRST.replace("|avg_pool_3x3~0|", "||"), r"^'' at character 2 .* must end with ~0"),
        (
            FIRST.replace("skip_connect~2", "skip_connect~1"),
            r"^'skip_connect~1' at character 81 .*\(node 3\) must .* ~2",
        ),
        (FIRST.replace("avg_pool_3x3~0", "avg_pool_3x3"), r"^'avg_pool_3x3' at character 2 .* must end with ~0"),
        (FIRST.replace("avg_pool_3x3", "avg_pool_3x"), r"^'avg_pool_3x' at .* Did you mean 'avg_pool_3x3'\?"),
        (FIRST.replace("avg_pool_3x3", "conv3x3"), r"'conv3x3' .* Did you mean 'nor_conv_3x3'\? Known: none, skip"),
        (FIRST.replace("avg_pool_3x3", "skip"), r"'skip' .* Did you mean 'skip_connect'\?"),
        (FIRST.replace("avg_pool_3x3", "?"), r"^'\?' at character 2 of .* is no operation\. Known: none"),
        (FIRST.replace("+", " + "), r"^node 1 \('\|avg_pool_3x3~0\| '"),
        (None, r"An arch string is text like .*, not None"),
        (17, r"not 17"),
    ],
)
def test_an_unreadable_arch_string_is_refused_at_its_offending_part(arch_str, message):
    with pytest.raises(ArchStringError, match=message) as caught:
        SPACE.check(arch_str)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="|+~012 nosekip_avg", max_size=60))
def test_any_text_is_read_or_refused_with_our_own_error(text):
    with pytest.raises(ArchStringError):
        SPACE.check(text)


@pytest.mark.parametrize("operations", [(), ("none",) * 5, ("none",) * 5 + ("conv",)])
def test_a_cell_has_six_known_operations(operations):
    with pytest.raises(ArchStringError, match="6 operations out of none, skip_connect"):
        Cell(operations)
