"""Numbers of any bit depth and lossless compression in a TIFF page.

libtiff, which is part of Pillow, decompresses the bytes: the page is wrapped as a grey picture of 8 bits whose pixels
are the bytes (`_unpacked`). Predictors, byte order, and numbers that share bytes are undone here (`_numbers`).

References:
    Adobe, "TIFF Revision 6.0", 1992: sections 14 (differencing predictor), 15 (tiles).
    Adobe, "Photoshop TIFF Technical Note 3", 2005: the predictor of floats.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import tifffile
from PIL import Image

from ipt.images.decoded import Unusable, check_size

_READABLE = (1, 5, 8, 32773, 32946, 34925, 50000)
"""Lossless compressions: none, LZW, ZIP, PackBits, the old ZIP, LZMA, Zstandard."""
_HEADER_BYTES = 8
_PLAIN, _DIFFERENCES, _OF_FLOATS = 1, 2, 3
"""Predictors: none, horizontal differencing, and that of floats."""
_SEPARATE = 2
"""Planar configuration in which each channel is stored by itself."""


def decode(page: tifffile.TiffPage, data: bytes) -> np.ndarray:
    """The numbers of a page, (channels, H, W), of its dtype.

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
    """The numbers (H, W, channels) of strips or tiles whose channels are stored together; pieces: offset and size."""
    samples = 1 if page.planarconfig == _SEPARATE else page.samplesperpixel
    bits = int(np.max(page.bitspersample))
    height, width = page.imagelength, page.imagewidth
    across, down = (page.tilewidth, page.tilelength) if page.is_tiled else (width, page.rowsperstrip)
    bytes_per_row = -(-across * samples * bits // 8)
    blocks = -(-width // across)
    tall = -(-height // down) * down if page.is_tiled else height
    stored = _unpacked(page, data, pieces, (tall, blocks * bytes_per_row), (bytes_per_row, down))
    values = _numbers(page, stored.reshape(tall, blocks, bytes_per_row), bits, (across, samples))
    return values.reshape(tall, blocks * across, samples)[:height, :width]


def _unpacked(
    page: tifffile.TiffPage, data: bytes, pieces: list[tuple[int, int]], size: tuple[int, int], block: tuple[int, int]
) -> np.ndarray:
    """The decompressed bytes of a plane.

    Args:
        page: says how they are compressed and divided.
        data: the whole file.
        pieces: offset and size of each strip or tile.
        size: (rows, bytes per row) of the plane.
        block: (bytes per row, rows) of a strip or tile.

    Returns:
        uint8, of `size`.
    """
    check_size(size[1], size[0])
    body, offsets = b"", []
    for offset, count in pieces:
        offsets.append(_HEADER_BYTES + len(body))
        if offset + count > len(data):
            raise struct.error("its data end outside the file")
        body += data[offset : offset + count]
    counts = [count for _, count in pieces]
    # Width, height, bits, compression, colours (grey) and channels of a picture of 8 bits whose pixels are the bytes.
    tags = {256: [size[1]], 257: [size[0]], 258: [8], 259: [int(page.compression)], 262: [1], 277: [1]}
    if page.is_tiled:
        tags |= {322: [block[0]], 323: [block[1]], 324: offsets, 325: counts}
    else:
        tags |= {273: offsets, 278: [block[1]], 279: counts}
    with Image.open(BytesIO(_tiff(body, tags)), formats=("TIFF",)) as image:
        return np.array(image)


def _tiff(body: bytes, tags: Mapping[int, Sequence[int]]) -> bytes:
    """A little-endian TIFF file: header, body, a directory of tags of 4-byte numbers, and the lists among them."""
    padding = bytes(len(body) % 2)
    directory_at = _HEADER_BYTES + len(body) + len(padding)
    lists_at = directory_at + 2 + 12 * len(tags) + 4
    directory, lists = struct.pack("<H", len(tags)), b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        directory += struct.pack("<HHI", tag, 4, len(values))
        if len(values) == 1:
            directory += packed
        else:
            directory += struct.pack("<I", lists_at + len(lists))
            lists += packed
    header = struct.pack("<2sHI", b"II", 42, directory_at)
    # Four zero bytes: there is no other page.
    return header + body + padding + directory + bytes(4) + lists


def _numbers(page: tifffile.TiffPage, stored: np.ndarray, bits: int, block: tuple[int, int]) -> np.ndarray:
    """Numbers (rows, blocks, pixels, channels) from bytes (rows, blocks, bytes); block: (pixels, channels) of a row."""
    rows, blocks, _ = stored.shape
    count, (_, samples) = block[0] * block[1], block
    order = page.parent.byteorder
    assert page.dtype is not None
    if bits % 8:
        each = np.unpackbits(stored, axis=-1)[..., : count * bits].reshape(rows, blocks, *block, bits)
        weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.uint32)
        values = (each @ weights).astype(page.dtype)
    elif page.predictor == _OF_FLOATS:
        # Bytes are differences; the most significant bytes of all numbers come first, then the next ones.
        summed = np.cumsum(stored.reshape(rows, blocks, -1, samples), axis=2, dtype=np.uint8)
        apart = summed.reshape(rows, blocks, bits // 8, count).swapaxes(2, 3)
        values = np.ascontiguousarray(apart).view(page.dtype.newbyteorder(">"))
        return values.reshape(rows, blocks, *block).astype(page.dtype)
    else:
        values = np.ascontiguousarray(stored).view(page.dtype.newbyteorder(order))
        values = values.reshape(rows, blocks, *block).astype(page.dtype)
    if page.predictor != _DIFFERENCES:
        return values
    # Floats too are differenced as whole numbers with the same bits.
    words = values.view(f"u{page.dtype.itemsize}")
    return np.cumsum(words, axis=2, dtype=words.dtype).view(page.dtype)
