"""TIFF files as other programs write them: each is the picture that it holds, or is refused with the reason."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from ipt.core.errors import IptError
from ipt.images import tiff
from ipt.images.files import decode

from .conftest import SHAPE, noise

COLOUR, GREY = noise(3), noise(1)[:, :, 0]
COVER = np.maximum(noise(1, seed=5), 20_000)
MULTIPLIED = np.rint(COLOUR * (COVER / 65535)).astype(np.uint16)


def written(*pages: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in pages:
            writer.write(page, **options)
    return file.getvalue()


def pixels(data: bytes, page: int | None = None) -> np.ndarray:
    """(H, W, C), alpha last."""
    found = decode(data, "a.tif", page)
    planes = [found.pixels] if found.alpha is None else [found.pixels, found.alpha]
    return np.concatenate([plane.numpy() for plane in planes]).transpose(1, 2, 0)


def by_hand(tags: dict[int, list[int]], segments: list[bytes], order: str = "<", next_page: int = 0) -> bytes:
    """A file of one page with its data in `segments`, strips by tags 273 and 279."""
    offsets = [8 + sum(map(len, segments[:place])) for place in range(len(segments))]
    tags = tags | {273: offsets, 279: [len(one) for one in segments]}
    place = 8 + sum(map(len, segments))
    beyond, entries, more = place + 6 + 12 * len(tags), b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        entries += struct.pack(order + "HHI", tag, 4, len(values))
        entries += packed if len(values) == 1 else struct.pack(order + "I", beyond + len(more))
        more += packed if len(values) > 1 else b""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, place)
    tail = struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", next_page) + more
    return head + b"".join(segments) + tail


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(
    ("stored", "options", "expected"),
    [
        (COLOUR, {"photometric": "rgb"}, COLOUR),
        (COLOUR, {"photometric": "rgb", "tile": (16, 16)}, COLOUR),
        (np.moveaxis(COLOUR, -1, 0), {"photometric": "rgb", "planarconfig": "separate"}, COLOUR),
        (65535 - GREY, {"photometric": "miniswhite"}, GREY),
        (np.dstack([COLOUR, COVER]), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, None),
        (np.dstack([COLOUR, COVER]), {"photometric": "rgb", "extrasamples": ["unspecified"]}, COLOUR),
        (np.dstack([MULTIPLIED, COVER]), {"photometric": "rgb", "extrasamples": ["assocalpha"]}, "multiplied"),
    ],
    ids=["chunky", "tiles", "planar", "white is zero", "alpha", "padding", "premultiplied"],
)
def test_every_layout_is_the_same_picture(stored, options, expected, dtype):
    scale = {np.uint8: 257, np.uint16: 1, np.float32: 65535}[dtype]
    values = (stored // scale if dtype == np.uint8 else stored / scale).astype(dtype)
    read = pixels(written(values, **options))
    if isinstance(expected, str):
        expected = np.dstack([COLOUR, COVER])
    wanted = (stored if expected is None else expected) / 65535
    wanted = wanted[:, :, None] if wanted.ndim == 2 else wanted
    assert read.shape == wanted.shape and np.abs(read - wanted).max() < (0.016 if dtype == np.uint8 else 4e-5)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [6, 10, 12, 14])
def test_numbers_that_share_bytes(bits, order):
    top = 2**bits - 1
    values = GREY[:, :13] >> (16 - bits)
    rows = ["".join(f"{value:0{bits}b}" for value in row) for row in values]
    packed = b"".join(int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in rows)
    tags = {256: [13], 257: [SHAPE[0]], 258: [bits], 259: [1], 262: [1], 277: [1], 278: [SHAPE[0]]}
    read = pixels(by_hand(tags, [packed], order))
    assert np.array_equal(np.rint(read[:, :, 0] * top), values)


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_differences_of_16_bits_in_strips(order, planar):
    differences = COLOUR.copy()
    differences[:, 1:] = COLOUR[:, 1:] - COLOUR[:, :-1]
    height, width = SHAPE
    strips = [differences[top : top + 8] for top in range(0, height, 8)]
    if planar == 2:
        strips = [strip[:, :, channel] for channel in range(3) for strip in strips]
    packed = [zlib.compress(strip.astype(f"{order}u2").tobytes()) for strip in strips]
    tags = {256: [width], 257: [height], 258: [16] * 3, 259: [8], 262: [2], 277: [3], 278: [8], 284: [planar], 317: [2]}
    # BitsPerSample is of shorts in files that programs write; longs are read alike.
    assert np.array_equal(np.rint(pixels(by_hand(tags, packed, order)) * 65535), COLOUR)


@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_compressions_of_16_bits(compression, predictor):
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "TIFF", compression=compression, tiffinfo={317: predictor})
    assert np.array_equal(np.rint(pixels(file.getvalue())[:, :, 0] * 65535), GREY)


def test_differences_of_floats_are_of_their_bits():
    values = (GREY / 65535).astype("<f4")
    bits = values.view("<u4").copy()
    bits[:, 1:] -= values.view("<u4")[:, :-1]
    tags = {
        256: [SHAPE[1]],
        257: [SHAPE[0]],
        258: [32],
        259: [8],
        262: [1],
        277: [1],
        278: [SHAPE[0]],
        317: [2],
        339: [3],
    }
    assert np.array_equal(pixels(by_hand(tags, [zlib.compress(bits.tobytes())]))[:, :, 0], values)


def test_the_predictor_of_floats():
    file, values = io.BytesIO(), (GREY / 65535).astype(np.float32)
    Image.fromarray(values).save(file, "TIFF", compression="tiff_adobe_deflate", tiffinfo={317: 3})
    assert np.array_equal(pixels(file.getvalue())[:, :, 0], values)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_small_copies_and_masks_are_not_the_picture(dtype):
    values, small = (COLOUR >> (8 if dtype == np.uint8 else 0)).astype(dtype), {"photometric": "rgb", "subfiletype": 1}
    whole = {"photometric": "rgb"}
    for parts in (
        [(values[::4, ::4], small), (values, whole)],
        [(values, whole), (values[::2, ::2], small), (values[::4, ::4], small)],
        [(values, {**whole, "subifds": 1}), (values[::2, ::2], small)],
        [(values, whole), (values[:, :, 0] > 9, {"photometric": "minisblack", "subfiletype": 4})],
    ):
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            for one, options in parts:
                writer.write(one, metadata=None, **options)
        read = pixels(file.getvalue())
        assert np.array_equal(np.rint(read * np.iinfo(dtype).max), values)
        assert tiff.shape(file.getvalue()) == (3, *SHAPE) and len(tiff.pages(file.getvalue())) == 1


def test_a_small_copy_alone_is_refused():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(COLOUR[::4, ::4], photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        writer.write(COLOUR, photometric="rgb", metadata=None)
    with pytest.raises(IptError, match=r"a small copy of the picture .*raw files"):
        decode(file.getvalue(), "a.tif")


STACK = np.stack([GREY] * 3)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (written(STACK, photometric="minisblack", truncate=True), "stack of 3 pictures behind one page"),
        (written(STACK, photometric="minisblack", volumetric=True, tile=(16, 16, 16)), "stack with axes ZYX"),
        (written(STACK, photometric="minisblack"), r"3 pages or frames; .*frames=True"),
        (written(GREY.astype(np.int16)), "a sign"),
        (written((GREY >> 8).astype(np.int8)), "a sign"),
        (written(GREY.astype(np.uint32)), "uint32"),
        (written(np.dstack([GREY] * 2), photometric="minisblack", planarconfig="contig"), "2 channels"),
        (written(np.dstack([GREY] * 5), photometric="minisblack", planarconfig="contig"), "5 channels"),
        (
            by_hand({256: [9], 257: [9], 258: [8] * 3, 259: [1], 262: [1], 277: [3], 278: [9]}, [bytes(243)]),
            "3 channels",
        ),
        (written(np.dstack([COLOUR, GREY]), photometric="separated"), "SEPARATED"),
        (written(GREY.astype(np.float32)), "its floats run from"),
    ],
    ids=["truncated", "volume", "pages", "int16", "int8", "uint32", "two", "five", "unnamed", "cmyk", "range"],
)
def test_what_is_no_one_picture_is_refused(data, said):
    with pytest.raises(IptError, match=said):
        decode(data, "a.tif")


def imagej() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, STACK, imagej=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"II*\0" + b"\xff" * 30,
        written(COLOUR, photometric="rgb", compression="zlib")[:-900],
        imagej()[: len(imagej()) * 2 // 3],
        by_hand({256: [9], 257: [9], 258: [8], 259: [1], 262: [1], 277: [1], 278: [9]}, [bytes(81)], next_page=9999),
        by_hand({256: [9], 257: [9], 258: [16], 259: [1], 262: [2], 277: [3], 278: [9], 284: [2]}, [bytes(162)]),
        by_hand({256: [9], 257: [9], 258: [16], 259: [1], 262: [1], 277: [1], 278: [3]}, [bytes(54), b"", bytes(54)]),
        by_hand({256: [2**20], 257: [0], 258: [16], 259: [1], 262: [1], 277: [1], 278: [1]}, [b"0"]),
    ],
    ids=["nothing", "cut", "a stack cut", "pages outside", "no planes", "no strip", "no rows"],
)
def test_damage_is_said_in_one_message(data, capfd):
    with pytest.raises(IptError, match=r"a.tif is damaged or cut short .*copy it again"):
        decode(data, "a.tif")
    assert capfd.readouterr() == ("", "")


def test_a_flipped_byte_of_what_has_a_checksum():
    data = bytearray(written(COLOUR, photometric="rgb", compression="zlib"))
    data[len(data) // 2] ^= 255
    with pytest.raises(IptError, match="damaged or cut short"):
        decode(bytes(data), "a.tif")


def test_a_picture_too_large_is_said():
    tags = {256: [2**17], 257: [2**17], 258: [16], 259: [1], 262: [1], 277: [1], 278: [2**17]}
    with pytest.raises(IptError, match=r"more than 178,956,970 pixels"):
        decode(by_hand(tags, [b"0"]), "a.tif")


def test_pages_are_decoded_by_their_place():
    first, second = noise(3, seed=1), noise(3, seed=2)
    data = written(first, second, photometric="rgb")
    assert tiff.pages(data) == [0, 1]
    assert np.array_equal(np.rint(pixels(data, 1) * 65535), second)


def test_texts_and_orientation_are_kept():
    data = written(GREY, photometric="minisblack", description="by hand", extratags=[(274, "H", 1, 6, True)])
    found = decode(data, "a.tif")
    assert found.shape == (1, *SHAPE[::-1]) and b"by hand" in found.metadata["exif"] and found.source == "TIFF uint16"
