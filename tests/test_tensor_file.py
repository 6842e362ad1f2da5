"""Tensors are written as the safetensors library writes them, byte by byte, and without what that needs for it."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from nap2.tensor_file import NAMES, tensor_bytes


def test_the_bytes_are_those_of_the_library() -> None:
    values = torch.tensor([[0, 1, 3], [5, 7, 120]])
    tensors = {f"{name} ü".lower(): values.to(dtype) for dtype, name in NAMES.items()}
    tensors |= {"a scalar": torch.tensor(1.5), "nothing": torch.zeros(0, 3), "another": torch.ones(2)}
    assert tensor_bytes(tensors) == save(tensors)
    assert tensor_bytes({}) == save({})


def test_what_the_library_refuses_is_written_as_it_is_read(tmp_path) -> None:
    base = torch.arange(6.0).view(2, 3)
    tensors = {"whole": base, "turned": base.t(), "tail": base[1, 1:]}
    (tmp_path / "shared").write_bytes(tensor_bytes(tensors, {"format": "mine", "ü": '"'}))
    with safe_open(tmp_path / "shared", framework="pt") as file:
        assert file.metadata() == {"format": "mine", "ü": '"'}
        for name, tensor in tensors.items():
            assert torch.equal(file.get_tensor(name), tensor)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.uint16])
def test_other_types_are_not_written_as_something_else(dtype) -> None:
    with pytest.raises(KeyError):
        tensor_bytes({"x": torch.zeros(2).to(dtype)})
