"""Pictures: encoded bytes in, pixels out.

Pillow decodes PNG, JPEG, BMP and WebP and nothing else, for every further format is one more parser that a damaged file
could reach. A picture is never scaled or cropped: the sizes of all of them must be the same.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from unstuck.tabular.tables import kernels as pc
from unstuck.tabular.tables.kind import Kind, image
from unstuck.tabular.tables.refusal import Misfit

if TYPE_CHECKING:
    import pyarrow as pa
    from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"RIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
GREY = ("L", "1")
LARGEST = 1 << 24
"""Pixels of one picture; beyond, a batch of them would not be bounded by anything sensible."""
LOOKED_AT = 64
"""Pictures whose headers decide on grey or colour."""


def kind_of(blobs: Iterable[bytes]) -> Kind | None:
    """The kind of a column of pictures by the headers of its first ones; None where the first is no picture.

    Size is that of the first; it is grey (one channel) only where all those looked at are.
    """
    kind = None
    for blob in blobs:
        try:
            with _opened(blob) as picture:
                size, grey = picture.size, picture.mode in GREY
        except ValueError:
            return kind
        kind = kind or image(size[1], size[0], 1)
        if not grey:
            return image(kind.shape[0], kind.shape[1], 3)
    return kind


def pixels(blob: bytes, kind: Kind) -> np.ndarray:
    """One picture, uint8, flat in the order (height, width, channel); raises ValueError with the reason."""
    height, width, channels = kind.shape
    with _opened(blob) as picture:
        if picture.size != (width, height):
            found = f"{picture.size[0]}x{picture.size[1]}"
            raise ValueError(f"the picture is {found} where {width}x{height} was expected: all must be of one size")
        if channels == 1 and picture.mode not in GREY:
            raise ValueError("the picture is in colour where those before are grey: all must be of one sort")
        if picture.mode.startswith(("I", "F")):
            raise ValueError("the picture has more than 8 bits to a channel: save it with 8")
        try:
            return np.asarray(picture.convert("L" if channels == 1 else "RGB"), np.uint8).reshape(-1)
        except Exception as error:  # a decoder of damaged bytes may raise anything
            raise ValueError(
                f"the picture does not decode: {str(error).splitlines()[0] if str(error) else error!r}"
            ) from None


def _opened(blob: bytes) -> Image.Image:
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(blob), formats=FORMATS)
    except Exception:  # as above
        raise ValueError("this is no picture in PNG, JPEG, BMP or WebP") from None
    if math.prod(picture.size) > LARGEST:
        raise ValueError(f"the picture of {picture.size[0]}x{picture.size[1]} is too large to be learned from whole")
    return picture


def encoded(raw: pa.Array) -> pa.Array | None:
    """The column's encoded bytes, be it binary or a structure with a binary field `bytes`; None where it is neither."""
    import pyarrow as pa
    from pyarrow import types as is_

    if is_.is_struct(raw.type) and raw.type.get_field_index("bytes") >= 0:
        raw = pc.struct_field(raw, "bytes")
    if is_.is_large_binary(raw.type) or is_.is_fixed_size_binary(raw.type) or is_.is_binary_view(raw.type):
        raw = raw.cast(pa.binary())
    return raw if is_.is_binary(raw.type) else None


def decoded(raw: pa.Array, kind: Kind) -> pa.Array:
    """A column of encoded pictures as pixels; raises Misfit for one that does not decode or is of another size."""
    blobs = encoded(raw)
    if blobs is None:
        raise Misfit(0, f"{raw.type} holds no pictures: leave the column out")
    if not kind.shape:
        raise Misfit(0, "the size of its pictures is not known")
    rows = np.zeros((len(blobs), math.prod(kind.shape)), np.uint8)
    for i, blob in enumerate(blobs.to_pylist()):
        if blob is None:
            continue
        try:
            rows[i] = pixels(blob, kind)
        except ValueError as why:
            raise Misfit(i, str(why)) from None
    return packed(rows, kind, np.asarray(blobs.is_null().to_numpy(zero_copy_only=False)))


def packed(rows: np.ndarray, kind: Kind, missing: np.ndarray | None = None) -> pa.Array:
    """(n, height * width * channels) uint8 as the Arrow array that an image column is delivered as."""
    import pyarrow as pa

    mask = pa.array(missing) if missing is not None and missing.any() else None
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), type=kind.type, mask=mask)
