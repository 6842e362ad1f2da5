"""The flags of determinism: set for good in our own processes, for a block in those of others."""

import pytest
import torch

from nap2.seeding import deterministic_arithmetic, make_deterministic

cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
FLAGS = [(cudnn, "deterministic"), (cudnn, "benchmark"), (cudnn, "allow_tf32"), (matmul, "allow_tf32")]
OURS = [True, False, False, False]


def flags():
    return [getattr(owner, name) for owner, name in FLAGS]


@pytest.fixture(autouse=True)
def restored():
    make_deterministic()
    yield
    make_deterministic()


def test_a_block_computes_in_full_precision_and_gives_the_flags_back():
    theirs = [False, True, True, True]
    for (owner, name), value in zip(FLAGS, theirs, strict=True):
        setattr(owner, name, value)
    with deterministic_arithmetic():
        assert flags() == OURS
    assert flags() == theirs


def test_a_block_that_fails_gives_them_back_too():
    cudnn.allow_tf32 = True
    with pytest.raises(ZeroDivisionError), deterministic_arithmetic():
        1 // 0  # noqa: B018  # the failure is the point
    assert cudnn.allow_tf32


@pytest.mark.skipif(not hasattr(matmul, "fp32_precision"), reason="torch has the old names only")
def test_precisions_set_by_torchs_new_names_are_given_back_too():
    matmul.fp32_precision = cudnn.conv.fp32_precision = "tf32"  # torch now refuses to say what allow_tf32 is
    with deterministic_arithmetic():
        assert flags() == OURS
        assert {owner.fp32_precision for owner in (matmul, cudnn.conv, cudnn.rnn)} == {"ieee"}
    assert (matmul.fp32_precision, cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision) == ("tf32", "tf32", "ieee")
