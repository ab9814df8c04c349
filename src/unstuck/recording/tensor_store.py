"""Copies of the recorded tensors: each distinct one once, within a bound on their bytes."""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from unstuck.recording.sharding import gone, local
from unstuck.recording.versions import version
from unstuck.tape.tensors import raw

LIMIT = 256 * 2**20
"""Bytes of tensors a tape may hold, in memory and on disk."""
HASHED = 8 * 2**20
"""Above this many bytes a tensor is recognised by identity and version only: hashing it would cost the person time."""

SMALL = 8192
"""Numbers in a tensor that is small: as many channels as a layer may have."""


class TensorStore:
    """Copies of tensors by key; the same content, or the same unchanged tensor, gets the same key."""

    def __init__(self, limit: int = LIMIT, name: str = "t") -> None:
        self.tensors: dict[str, Tensor] = {}
        self.name, self._stored = name, 0
        self.limit, self.bytes, self.full = limit, 0, False
        self._by_content: dict[tuple[object, ...], str] = {}
        self._by_identity: dict[int, tuple[weakref.ref[Tensor], int, str]] = {}

    def keep(self, tensor: Tensor, fresh: bool = False) -> str | None:
        """The key of a copy of the tensor, or None where there is no room for it, or it never had data of its own.

        `fresh`: a small tensor is read even where it seems unchanged. Batch norm writes its running statistics without
        a new version; in training they are not read, so what they were at first will do there.
        """
        if tensor.is_meta or gone(tensor):
            return None
        known = self._by_identity.get(id(tensor))
        seen = known is not None and known[0]() is tensor and known[1] == version(tensor) >= 0
        if known is not None and seen and not (fresh and tensor.numel() <= SMALL):
            return known[2]
        plain = local(tensor.detach())
        plain = (plain.to_dense() if plain.layout is not torch.strided else plain).cpu()
        content = _content(plain)
        key = self._by_content.get(content) if content else None
        key = key or self._store(plain, content)
        if key is not None:
            self._by_identity[id(tensor)] = (weakref.ref(tensor), version(tensor), key)
        return key

    def put(self, key: str, tensor: Tensor) -> None:
        """Keep a copy under a name of its own (initial weights: always, whatever the bound)."""
        if not gone(tensor):
            self.tensors[key] = local(tensor.detach()).cpu().clone(memory_format=torch.contiguous_format)

    def only(self, keys: set[str]) -> None:
        """Let everything else go."""
        self.tensors = {key: t for key, t in self.tensors.items() if key in keys}
        self.bytes = sum(t.numel() * t.element_size() for t in self.tensors.values())
        self.full = False
        self._by_content = {c: key for c, key in self._by_content.items() if key in keys}
        self._by_identity = {i: known for i, known in self._by_identity.items() if known[2] in keys}

    def _store(self, plain: Tensor, content: tuple[object, ...] | None) -> str | None:
        size = plain.numel() * plain.element_size()
        if self.bytes + size > self.limit:
            self.full = True
            return None
        key, self._stored = f"{self.name}:{self._stored}", self._stored + 1
        self.tensors[key] = plain.clone(memory_format=torch.contiguous_format)
        self.bytes += size
        if content:
            self._by_content[content] = key
        return key


def _content(plain: Tensor) -> tuple[object, ...] | None:
    if plain.numel() * plain.element_size() > HASHED:
        return None
    return tuple(plain.shape), plain.dtype, hash(bytes(raw(plain.contiguous())))
