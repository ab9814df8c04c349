"""What is written here is read by the safetensors library."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from unstuck.tape.tensors import NAMES, write


@pytest.mark.parametrize("kind", [*NAMES, "complex64"])
def test_every_kind_of_tensor_comes_back(kind: str, tmp_path: Path) -> None:
    dtype = getattr(torch, kind)
    made = {
        "matrix": torch.arange(6).reshape(2, 3).to(dtype),
        "turned": torch.arange(6).reshape(2, 3).to(dtype).T,
        "number": torch.tensor(1).to(dtype),
        "empty": torch.zeros(0, 4, dtype=dtype),
        "bytes": torch.arange(3, dtype=torch.uint8),
        "long": torch.arange(3),
    }
    write(made, tmp_path / "t.safetensors")
    read = load_file(tmp_path / "t.safetensors")
    assert read.keys() == made.keys()
    for name, tensor in made.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name], tensor)


def test_no_tensors(tmp_path: Path) -> None:
    write({}, tmp_path / "t.safetensors")
    assert load_file(tmp_path / "t.safetensors") == {}
