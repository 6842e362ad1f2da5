"""The flags of determinism: set for good in our own processes, for a block in those of others."""

import os
import threading

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
    assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_the_precision_of_products_is_given_back_and_can_still_be_read(precision):
    for name in ("highest", precision):  # the first makes torch forget the new names
        torch.set_float32_matmul_precision(name)
    with deterministic_arithmetic():
        assert torch.get_float32_matmul_precision() == "highest"
    assert torch.get_float32_matmul_precision() == precision


def test_the_workspace_is_given_back(monkeypatch):
    for theirs, inside in ((None, ":4096:8"), (":16:8", ":16:8")):
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
        if theirs is not None:
            monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", theirs)
        with deterministic_arithmetic():
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == inside
        assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == theirs


def test_blocks_of_several_threads_give_back_what_was_there_before_the_first():
    cudnn.benchmark, cudnn.deterministic = True, False
    first_is_in, second_is_in, first_is_out = threading.Event(), threading.Event(), threading.Event()

    def first():
        with deterministic_arithmetic():
            first_is_in.set()
            second_is_in.wait(60)
        first_is_out.set()

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait(60)
    with deterministic_arithmetic():
        second_is_in.set()
        first_is_out.wait(60)
        assert (cudnn.benchmark, cudnn.deterministic) == (False, True)
    thread.join()
    assert (cudnn.benchmark, cudnn.deterministic) == (True, False)
