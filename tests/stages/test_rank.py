"""What stage=rank says of a predictor before it ranks."""

import pytest

from nap2.stages.compose import compose_config
from nap2.stages.rank_stage import remark_on_space


@pytest.mark.parametrize(
    ("spec", "remark"),
    [
        ({"setting": {"space": "nasbench201"}}, "fitted on nasbench201 cells: on nasbench101 its figures are ranks"),
        ({"setting": {"space": "nasbench101"}}, ""),
        ({}, ""),
    ],
)
def test_a_predictor_of_another_search_space_is_remarked_on(spec, remark) -> None:
    config = compose_config(["stage=rank", "experiment=digits", "space=nasbench101"])[1]
    found = remark_on_space(config, spec)
    assert remark in found
    assert bool(remark) == bool(found)
