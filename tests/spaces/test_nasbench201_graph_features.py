"""Numbers read off the graph."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nap2.spaces import SPACES
from nap2.spaces.nasbench201.cell import OPERATIONS, Cell

SPACE = SPACES["nasbench201"]
CELLS = st.tuples(*[st.sampled_from(OPERATIONS)] * 6).map(Cell)


def features(cell: Cell) -> dict[str, float]:
    values = SPACE.graph_features(str(cell))
    assert values.dtype == np.float64
    assert values.shape == (len(SPACE.graph_feature_names),)
    return dict(zip(SPACE.graph_feature_names, values, strict=True))


def test_there_are_58_features_of_different_names():
    assert len(set(SPACE.graph_feature_names)) == 58


@given(CELLS)
def test_they_agree_with_counting_by_hand(cell):
    found = features(cell)
    operations = dict(zip(("0-1", "0-2", "1-2", "0-3", "1-3", "2-3"), cell.operations, strict=True))
    for edge, chosen in operations.items():
        assert [found[f"edge{edge}_is_{name}"] for name in OPERATIONS] == [name == chosen for name in OPERATIONS]
    assert [found[f"num_{name}"] for name in OPERATIONS] == [list(operations.values()).count(n) for n in OPERATIONS]
    live = []
    for number, path in enumerate((["0-3"], ["0-2", "2-3"], ["0-1", "1-3"], ["0-1", "1-2", "2-3"])):
        along = [operations[edge] for edge in path]
        assert sum(found[f"path{number}_num_{name}"] for name in OPERATIONS[1:]) in (0, len(along))
        assert found[f"path{number}_is_live"] == ("none" not in along)
        live += [along] if "none" not in along else []
    assert found["num_live_paths"] == len(live)
    assert found["shortest_live_path"] == min(map(len, live), default=4)
    assert found["longest_conv_chain"] == max((sum("conv" in op for op in along) for along in live), default=0)


def test_the_features_tell_all_cells_apart():
    rows = {SPACE.graph_features(name).tobytes() for name in SPACE.arch_strings()}
    assert len(rows) == SPACE.size
