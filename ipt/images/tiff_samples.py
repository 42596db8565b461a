"""Numbers of any bits in a TIFF page, whatever compresses them: libtiff, within Pillow, unpacks the bytes.

Given as a grey picture of 8 bits whose pixels are the bytes, each row comes back as it is stored. Predictors, the order
of bytes, and numbers that share bytes are undone here.

References:
    Adobe, "TIFF Revision 6.0", 1992: sections 14 (differencing predictor), 15 (tiles).
    Adobe, "Photoshop TIFF Technical Note 3", 2005: the predictor of floats.
"""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import tifffile
from PIL import Image

from ipt.images.decoded import Unusable, check_size

_READABLE = (1, 5, 8, 32773, 32946, 34925, 50000)
"""Compressions without loss: none, LZW, ZIP, PackBits, ZIP as it was, LZMA, Zstandard."""
_PLAIN, _DIFFERENCES, _OF_FLOATS = 1, 2, 3
_SEPARATE = 2


def decode(page: tifffile.TiffPage, data: bytes) -> np.ndarray:
    """The numbers of a page, (samples, H, W), of its dtype.

    Raises:
        Unusable: A compression that cannot be read.
        Exception: The file is damaged.
    """
    if page.compression not in _READABLE or page.predictor not in (_PLAIN, _DIFFERENCES, _OF_FLOATS):
        name = getattr(page.compression, "name", page.compression)
        raise Unusable(f"it is compressed with {name}; save it uncompressed, with ZIP or as PNG")
    pieces = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    planes = page.samplesperpixel if page.planarconfig == _SEPARATE else 1
    share = len(pieces) // planes
    each = [_plane(page, data, pieces[share * plane : share * (plane + 1)]) for plane in range(planes)]
    return np.concatenate(each, axis=-1).transpose(2, 0, 1)


def _plane(page: tifffile.TiffPage, data: bytes, pieces: list[tuple[int, int]]) -> np.ndarray:
    """Numbers (H, W, samples) of what lies together."""
    samples = 1 if page.planarconfig == _SEPARATE else page.samplesperpixel
    bits = int(np.max(page.bitspersample))
    height, width = page.imagelength, page.imagewidth
    across, down = (page.tilewidth, page.tilelength) if page.is_tiled else (width, page.rowsperstrip)
    row = -(-across * samples * bits // 8)
    blocks = -(-width // across)
    tall = -(-height // down) * down if page.is_tiled else height
    stored = _unpacked(page, data, pieces, (tall, blocks * row), (row, down))
    values = _numbers(page, stored.reshape(tall, blocks, row), bits, (across, samples))
    return values.reshape(tall, blocks * across, samples)[:height, :width]


def _unpacked(
    page: tifffile.TiffPage, data: bytes, pieces: list[tuple[int, int]], size: tuple[int, int], block: tuple[int, int]
) -> np.ndarray:
    """The bytes of a plane, uint8 of `size`: (rows, bytes a row); block: (bytes a row, rows) of a tile or strip."""
    check_size(size[1], size[0])
    body, offsets = b"", []
    for offset, count in pieces:
        offsets.append(8 + len(body))
        if offset + count > len(data):
            raise struct.error("its data end outside the file")
        body += data[offset : offset + count]
    counts = [count for _, count in pieces]
    tags = {256: [size[1]], 257: [size[0]], 258: [8], 259: [int(page.compression)], 262: [1], 277: [1]}
    tags |= (
        {322: [block[0]], 323: [block[1]], 324: offsets, 325: counts}
        if page.is_tiled
        else {273: offsets, 278: [block[1]], 279: counts}
    )
    place = 8 + len(body) + len(body) % 2
    entries, more = b"", b""
    beyond = place + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        entries += struct.pack("<HHI", tag, 4, len(values))
        entries += packed if len(values) == 1 else struct.pack("<I", beyond + len(more))
        more += packed if len(values) > 1 else b""
    header = struct.pack("<2sHI", b"II", 42, place)
    file = header + body + bytes(len(body) % 2) + struct.pack("<H", len(tags)) + entries + bytes(4) + more
    with Image.open(BytesIO(file), formats=("TIFF",)) as image:
        return np.array(image)


def _numbers(page: tifffile.TiffPage, stored: np.ndarray, bits: int, block: tuple[int, int]) -> np.ndarray:
    """Numbers (rows, blocks, pixels, samples) of bytes (rows, blocks, bytes); block: (pixels, samples) of a row."""
    rows, blocks, _ = stored.shape
    count, (_, samples) = block[0] * block[1], block
    order = page.parent.byteorder
    assert page.dtype is not None
    if bits % 8:
        each = np.unpackbits(stored, axis=-1)[..., : count * bits].reshape(rows, blocks, *block, bits)
        weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.uint32)
        values = (each @ weights).astype(page.dtype)
    elif page.predictor == _OF_FLOATS:
        # Differences of bytes, of which the most significant of all numbers come first.
        summed = np.cumsum(stored.reshape(rows, blocks, -1, samples), axis=2, dtype=np.uint8)
        apart = summed.reshape(rows, blocks, bits // 8, count).swapaxes(2, 3)
        values = np.ascontiguousarray(apart).view(page.dtype.newbyteorder(">"))
        return values.reshape(rows, blocks, *block).astype(page.dtype)
    else:
        values = np.ascontiguousarray(stored).view(page.dtype.newbyteorder(order))
        values = values.reshape(rows, blocks, *block).astype(page.dtype)
    if page.predictor != _DIFFERENCES:
        return values
    # Of floats too, differences are of the whole numbers that their bits make.
    words = values.view(f"u{page.dtype.itemsize}")
    return np.cumsum(words, axis=2, dtype=words.dtype).view(page.dtype)
