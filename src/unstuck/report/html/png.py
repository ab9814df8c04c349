"""A small picture as a `data:` address: PNG, written with the standard library."""

from __future__ import annotations

import base64
import struct
import zlib

from unstuck.diagnosis.looks import Picture

GREY, COLOUR = 0, 2
"""Colour types of PNG (https://www.w3.org/TR/png-3/#6Colour-values)."""


def address(picture: Picture) -> str:
    """The picture as `data:image/png;base64,...`, eight bits per channel."""
    height, width = len(picture.pixels), len(picture.pixels[0])
    channels = len(picture.pixels[0][0])
    lines = b"".join(b"\0" + bytes(v for pixel in line for v in pixel) for line in picture.pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, COLOUR if channels == 3 else GREY, 0, 0, 0)
    parts = (_chunk(b"IHDR", head), _chunk(b"IDAT", zlib.compress(lines, 9)), _chunk(b"IEND", b""))
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
