"""PNG at 8 and 16 bits per channel, decoded and encoded here: Pillow reduces 16-bit colour to 8 bits.

References:
    W3C, "Portable Network Graphics (PNG) Specification (Third Edition)": chunks (section 5), interlacing (section 8),
    filters (section 9), colour types (section 11.2.1).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_COLOUR_TYPES = {channels: kind for kind, channels in _CHANNELS.items()}
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""Passes of an interlaced picture: first row and column, and steps down and right."""


def depth(data: bytes) -> int:
    """Bits per channel from the header of a PNG file; 0 if there is no header."""
    return data[24] if data.startswith(SIGNATURE) and len(data) > 25 else 0


def check(data: bytes) -> None:
    """Raise ValueError if a PNG file is cut short or a checksum is wrong, which Pillow does not check."""
    for _ in _chunks(data):
        pass


def decode16(data: bytes) -> np.ndarray:
    """Decode a 16-bit PNG file.

    Returns:
        uint16 (H, W, C), C = 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha; a transparent colour (chunk tRNS)
        becomes alpha.

    Raises:
        ValueError: It is damaged, cut short, or not of 16 bits.
    """
    width, height, bits, kind, interlaced = 0, 0, 0, 0, 0
    packed, transparent = [], b""
    for name, body in _chunks(data):
        if name == b"IHDR":
            width, height, bits, kind, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        elif name == b"IDAT":
            packed.append(body)
        elif name == b"tRNS":
            transparent = body
    if bits != 16 or kind not in _CHANNELS:
        raise ValueError("not a 16-bit PNG")
    channels = _CHANNELS[kind]
    pixels = np.empty((height, width, channels), np.uint16)
    # Passes without pixels, which small pictures have, are not stored.
    places = [pixels[top::down, left::right] for top, left, down, right in (_ADAM7 if interlaced else _WHOLE)]
    sizes = [len(place) * (1 + 2 * channels * place.shape[1]) if place.size else 0 for place in places]
    try:
        # Bounded by the size in the header, so that a small file cannot fill the memory.
        raw = zlib.decompressobj().decompress(b"".join(packed), sum(sizes))
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(raw) < sum(sizes):
        raise ValueError("its data end early")
    start = 0
    for place, size in zip(places, sizes, strict=True):
        if size:
            lines = np.frombuffer(raw, np.uint8, size, start).reshape(len(place), -1)
            values = _unfiltered(lines[:, 0], lines[:, 1:].reshape(*place.shape[:2], 2 * channels))
            place[:] = values.view(">u2")
        start += size
    if transparent and kind in (0, 2):
        colour = np.frombuffer(transparent, ">u2")
        alpha = np.where((pixels == colour).all(-1, keepdims=True), 0, 65535).astype(np.uint16)
        pixels = np.concatenate([pixels, alpha], axis=-1)
    return pixels


def encode(pixels: np.ndarray, icc: bytes = b"", exif: bytes = b"") -> bytes:
    """Encode uint8 or uint16 pixels (H, W) or (H, W, C), C from 1 to 4 as in `decode16`, as a PNG file.

    Args:
        pixels: Of the picture.
        icc: Its colour profile; empty: none.
        exif: Its EXIF data; empty: none.

    Raises:
        ValueError: Other pixels.
    """
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    height, width, channels = pixels.shape
    if pixels.dtype not in (np.uint8, np.uint16) or channels not in _COLOUR_TYPES:
        raise ValueError(f"a PNG holds uint8 or uint16 in 1 to 4 channels, not {pixels.dtype} in {channels}")
    size = pixels.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, 8 * size, _COLOUR_TYPES[channels], 0, 0, 0)
    values = np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder(">"))).view(np.uint8)
    chunks = [_chunk(b"IHDR", header)]
    if icc:
        chunks.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)))
    if exif:
        chunks.append(_chunk(b"eXIf", exif))
    chunks.append(_chunk(b"IDAT", zlib.compress(_filtered(values.reshape(height, width, size * channels)), 6)))
    chunks.append(_chunk(b"IEND", b""))
    return SIGNATURE + b"".join(chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        checksum = data[place + 8 + length : place + 12 + length]
        if len(checksum) < 4:
            raise ValueError("its data end early")
        if int.from_bytes(checksum, "big") != zlib.crc32(name + body):
            raise ValueError(f"the checksum of chunk {name!r} is wrong")
        yield name, body
        if name == b"IEND":
            return
        place += 12 + length
    raise ValueError("its data end early")


def _filtered(values: np.ndarray) -> bytes:
    """Filter rows (H, W, bytes per pixel) by none, sub or up, whichever gives the least sum of absolute values."""
    height = len(values)
    sub, up = values.copy(), values.copy()
    sub[:, 1:] -= values[:, :-1]
    up[1:] -= values[:-1]
    candidates = [candidate.reshape(height, -1) for candidate in (values, sub, up)]
    # In arithmetic modulo 256, the smaller of a byte and its negative is its distance from zero.
    cost = np.stack([np.minimum(candidate, -candidate).sum(-1, dtype=np.int64) for candidate in candidates])
    best = cost.argmin(0)
    rows = np.choose(best[:, None], candidates)
    return np.concatenate([best[:, None].astype(np.uint8), rows], axis=1).tobytes()


def _unfiltered(filters: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Undo the row filters of lines, uint8 (H, W, bytes per pixel).

    A pixel depends on its left, upper and upper left neighbours, so that all pixels of an antidiagonal can be computed
    together: H + W numpy operations instead of one Python operation per byte. In the array with an extra row and
    column, an antidiagonal is a slice of constant stride.
    """
    if filters.max(initial=0) > 4:
        raise ValueError("an unknown row filter")
    height, width, size = lines.shape
    done = np.zeros((height + 1, width + 1, size), np.uint8)
    done[1:, 1:] = lines
    flat = done.reshape(-1, size)
    kind = filters[:, None]
    for diagonal in range(height + width - 1):
        first, last = max(0, diagonal - width + 1), min(height - 1, diagonal)
        # Row y, column diagonal - y, counted in the larger array; the next row's is `width` further on.
        start = (first + 1) * (width + 1) + diagonal - first + 1
        stop = start + (last - first) * width + 1
        left = flat[start - 1 : stop - 1 : width].astype(np.int16)
        above = flat[start - width - 1 : stop - width - 1 : width].astype(np.int16)
        corner = flat[start - width - 2 : stop - width - 2 : width].astype(np.int16)
        chosen = kind[first : last + 1]
        guess = left + above - corner
        to_left, to_above, to_corner = np.abs(guess - left), np.abs(guess - above), np.abs(guess - corner)
        paeth = np.where(
            (to_left <= to_above) & (to_left <= to_corner), left, np.where(to_above <= to_corner, above, corner)
        )
        guess = np.choose(chosen, (np.zeros_like(left), left, above, (left + above) >> 1, paeth))
        flat[start:stop:width] += guess.astype(np.uint8)
    return np.ascontiguousarray(done[1:, 1:])
