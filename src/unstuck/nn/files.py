"""Scaling layers in one safetensors file: numbers as tensors, settings as JSON in the header. No pickle."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as as_bytes
from torch import Tensor

from unstuck.nn.measured import MaxAbs, Standardize
from unstuck.nn.robust import RobustScale
from unstuck.nn.running import RunningStandardize
from unstuck.nn.scaling import Scaling

FORMAT = 1
KEY = "unstuck.nn"
KINDS = {kind.__name__: kind for kind in (Standardize, MaxAbs, RobustScale, RunningStandardize)}


class LoadError(Exception):
    """The file does not contain complete scaling layers of this format; the message is one line."""


class _Settings(msgspec.Struct, forbid_unknown_fields=True):
    """The arguments that rebuild one layer."""

    kind: Literal["Standardize", "MaxAbs", "RobustScale", "RunningStandardize"]
    shape: list[int]
    dims: list[int]
    fill: float | None
    dtype: Literal["float32", "float64"]
    size: int | msgspec.UnsetType = msgspec.UNSET
    batches: int | msgspec.UnsetType = msgspec.UNSET
    tolerance: float | msgspec.UnsetType = msgspec.UNSET


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal[1]
    layers: dict[str, _Settings]


def save(path: str | os.PathLike[str], layers: Mapping[str, Scaling]) -> None:
    """Write fitted layers under names of your choice, atomically; replaces an existing file.

    Raises ValueError for a layer that is not fitted or of another class, OSError if the file cannot be written.
    """
    for name, layer in layers.items():
        if type(layer) not in KINDS.values() or not layer.fitted:
            raise ValueError(f"{name}: {layer!r} is not a fitted layer of type {', '.join(KINDS)}")
    settings = {name: {"kind": type(layer).__name__, **layer.settings()} for name, layer in layers.items()}
    header = json.dumps({"format": FORMAT, "layers": settings})
    state = {f"{n}.{k}": t.cpu().contiguous() for n, layer in layers.items() for k, t in layer.state_dict().items()}
    _written(Path(path), as_bytes(state, {KEY: header}))


def _written(path: Path, content: bytes) -> None:
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(scratch).replace(path)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike[str]) -> dict[str, Scaling]:
    """The layers of a file by name, on the CPU. Raises LoadError (one line) for anything not written by `save`."""
    try:
        header, state = _read(Path(path))
        layers = {name: _layer(name, settings, state) for name, settings in header.layers.items()}
        unknown = state.keys() - {f"{n}.{k}" for n, layer in layers.items() for k in layer.state_dict()}
        if unknown:
            raise ValueError(f"tensor {min(unknown)!r} belongs to no layer")
        return layers
    except FileNotFoundError:
        raise LoadError(f"{path}: no such file") from None
    except (SafetensorError, msgspec.MsgspecError, ValueError, KeyError, TypeError, OverflowError, OSError) as e:
        reason = (str(e).splitlines() or [type(e).__name__])[0]
        raise LoadError(f"{path}: not a file of scaling layers: {reason[:200]}") from None


def _read(path: Path) -> tuple[_Header, dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(KEY)
        if text is None:
            raise ValueError(f"the header has no entry {KEY}")
        return msgspec.json.decode(text, type=_Header), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def _layer(name: str, settings: _Settings, state: dict[str, Tensor]) -> Scaling:
    center = state[f"{name}.center"]
    if list(center.shape) != settings.shape or math.prod(settings.shape) != center.numel():  # before building a layer
        raise ValueError(f"{name}: the shape {settings.shape} does not match its tensors")
    given: dict[str, Any] = msgspec.to_builtins(settings)
    kind = KINDS[given.pop("kind")]
    layer = kind(given.pop("shape"), given.pop("dims"), dtype=getattr(torch, given.pop("dtype")), **given)
    for key, own in layer.state_dict().items():
        _check(f"{name}.{key}", state[f"{name}.{key}"], own)
    layer.load_state_dict({key: state[f"{name}.{key}"] for key in layer.state_dict()})
    return layer.eval()


def _check(name: str, read: Tensor, own: Tensor) -> None:
    if (read.shape, read.dtype) != (own.shape, own.dtype):
        raise ValueError(f"{name} is {read.dtype} {tuple(read.shape)}, not {own.dtype} {tuple(own.shape)}")
    if read.is_floating_point() and not bool(torch.isfinite(read).all()):
        raise ValueError(f"{name} contains a number that is not finite")
