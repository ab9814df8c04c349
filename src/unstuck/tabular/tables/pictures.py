"""Images: encoded bytes to pixels.

Pillow decodes only PNG, JPEG, BMP and WebP here: every further format is another parser exposed to damaged files.
Images are never scaled or cropped: all must have the same size.
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
"""Maximum pixels of one image; larger ones would make a batch too large."""
LOOKED_AT = 64
"""Number of images whose headers decide between grey and colour."""


def kind_of(blobs: Iterable[bytes]) -> Kind | None:
    """The kind of an image column from the headers of its first values; None if the first is not an image.

    The size is that of the first image; it is grey (one channel) only if all inspected images are.
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
    """One image as flat uint8 in the order (height, width, channel); raises ValueError with the reason."""
    height, width, channels = kind.shape
    with _opened(blob) as picture:
        if picture.size != (width, height):
            found = f"{picture.size[0]}x{picture.size[1]}"
            raise ValueError(f"the image is {found}, expected {width}x{height}: all images must have one size")
        if channels == 1 and picture.mode not in GREY:
            raise ValueError("the image is in colour, but earlier ones are grey: all images must be of one type")
        if picture.mode.startswith(("I", "F")):
            raise ValueError("the image has more than 8 bits per channel: save it with 8")
        try:
            return np.asarray(picture.convert("L" if channels == 1 else "RGB"), np.uint8).reshape(-1)
        except Exception as error:  # a decoder may raise anything for damaged bytes
            raise ValueError(
                f"cannot decode the image: {str(error).splitlines()[0] if str(error) else error!r}"
            ) from None


def _opened(blob: bytes) -> Image.Image:
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(blob), formats=FORMATS)
    except Exception:  # see above
        raise ValueError("not a PNG, JPEG, BMP or WebP image") from None
    if math.prod(picture.size) > LARGEST:
        raise ValueError(f"the image is too large: {picture.size[0]}x{picture.size[1]}")
    return picture


def encoded(raw: pa.Array) -> pa.Array | None:
    """The column's encoded bytes, from binary values or a structure with a binary field `bytes`; None otherwise."""
    import pyarrow as pa
    from pyarrow import types as is_

    if is_.is_struct(raw.type) and raw.type.get_field_index("bytes") >= 0:
        raw = pc.struct_field(raw, "bytes")
    if is_.is_large_binary(raw.type) or is_.is_fixed_size_binary(raw.type) or is_.is_binary_view(raw.type):
        raw = raw.cast(pa.binary())
    return raw if is_.is_binary(raw.type) else None


def decoded(raw: pa.Array, kind: Kind) -> pa.Array:
    """A column of encoded images as pixels; raises Misfit for one that cannot be decoded or has another size."""
    blobs = encoded(raw)
    if blobs is None:
        raise Misfit(0, f"{raw.type} is not an image column: leave it out")
    if not kind.shape:
        raise Misfit(0, "the size of the images is unknown")
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
    """(n, height * width * channels) uint8 as the Arrow array of an image column."""
    import pyarrow as pa

    mask = pa.array(missing) if missing is not None and missing.any() else None
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), type=kind.type, mask=mask)
