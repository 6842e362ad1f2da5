"""What is unlike the candidates' own training is said, whatever the network."""

import pytest
import torch
from torch import nn

from nap2.inference.prediction import Prediction
from nap2.inference.ranking import Query, rank_models
from nap2.inference.training_remarks import Training, output_remarks, rate_remarks
from nap2.training.recipe import DIGITS, NASBENCH201


@pytest.mark.parametrize(
    ("recipe", "query_batches", "batches_per_epoch"),
    [(NASBENCH201, 100, 196), (NASBENCH201, 2300, 196), (DIGITS, 40, 21), (NASBENCH201, 100, 2), (DIGITS, 40, 0)],
)
def test_a_loader_of_usual_length_is_not_remarked_on(recipe, query_batches, batches_per_epoch) -> None:
    assert rate_remarks(Training(recipe, query_batches, 64, batches_per_epoch)) == []


@pytest.mark.parametrize(("recipe", "last"), [(NASBENCH201, "0.051"), (DIGITS, "0.0011")])
def test_a_loader_so_short_that_its_epochs_use_up_the_learning_rate_is(recipe, last: str) -> None:
    (remark,) = rate_remarks(Training(recipe, 100, 64, 1))
    assert remark.text == (
        f"its learning rate fell from 0.1 to {last} by mini-batch 100, as an epoch of the loader is 1 mini-batch; pass "
        "more data, or a Recipe with schedule='constant'"
    )


@pytest.mark.parametrize(
    ("dtype", "is_warned"), [(torch.bfloat16, True), (torch.float32, False), (torch.float64, False)]
)
def test_a_network_in_half_precision_is_warned_of(dtype: torch.dtype, is_warned: bool) -> None:
    batches = [(torch.randn(4, 3).to(dtype), torch.arange(4) % 2)]
    query = Query(batches, query_batches=1, recipe=DIGITS, every=1, seed=0)
    (place,) = rank_models(lambda _: Prediction(0.5, None, ("unlike",)), {"net": nn.Linear(3, 2).to(dtype)}, query)
    assert place.failure is None
    assert place.warnings[-1] == "unlike"
    assert [text[:25] for text in place.warnings[:-1]] == ["its weights are bfloat16,"] * is_warned


@pytest.mark.parametrize(
    ("last", "is_warned"),
    [
        (nn.Softmax(1), True),
        (nn.Identity(), False),
        (nn.LogSoftmax(1), False),
        (nn.Sigmoid(), False),
        (nn.ReLU(), False),
    ],
)
def test_a_network_that_ends_in_a_softmax_is_warned_of(last: nn.Module, is_warned: bool) -> None:
    torch.manual_seed(0)
    query = Query([(torch.randn(8, 3), torch.arange(8) % 4)] * 2, query_batches=2, recipe=DIGITS, every=1, seed=0)
    network = nn.Sequential(nn.Linear(3, 4), last)
    (place,) = rank_models(lambda _: Prediction(0.5, None, ()), {"net": network}, query)
    assert place.failure is None
    assert [text[:31] for text in place.warnings] == ["its outputs are probabilities, "] * is_warned


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_probabilities_are_recognised_in_any_precision_and_logits_that_sum_to_one_are_not(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    assert output_remarks(torch.randn(64, 120).to(dtype).softmax(1))
    assert output_remarks(torch.tensor([[1.5, -0.5], [0.25, 0.75]], dtype=dtype)) == []
    assert output_remarks(torch.full((4, 10), float("nan"), dtype=dtype)) == []
