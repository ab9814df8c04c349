"""Tensors in a safetensors file (https://huggingface.co/docs/safetensors): a header in JSON, then their bytes.

Written here because a tape holds thousands of small tensors, and the library takes three times as long for each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
ALIGNED = 8
"""Bytes that the header is padded to."""


def write(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write dense tensors without a gradient, on the CPU, by name."""
    from safetensors.torch import save_file

    whole = {name: tensor if tensor.is_contiguous() else tensor.contiguous() for name, tensor in tensors.items()}
    if any(_kind(tensor) not in NAMES for tensor in whole.values()):
        return save_file(whole, path)
    ordered = sorted(whole.items(), key=lambda named: -named[1].element_size())  # so that all are aligned
    header, parts, at = {}, [], 0
    for name, tensor in ordered:
        end = at + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[_kind(tensor)], "shape": list(tensor.shape), "data_offsets": [at, end]}
        parts.append(raw(tensor))
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % ALIGNED)
    path.write_bytes(b"".join((len(text).to_bytes(8, "little"), text, *parts)))
    return None


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def raw(tensor: Tensor) -> memoryview | bytes:
    """The bytes of a contiguous tensor on the CPU, without a copy."""
    import torch

    flat = tensor.reshape(-1)
    # A single number may have any stride (a 1x1 kernel in channels_last), and torch views stride 1 alone as bytes.
    flat = flat.as_strided((1,), (1,)) if len(flat) == 1 else flat
    return flat.view(torch.uint8).numpy().data if len(flat) else b""
