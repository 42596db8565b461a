"""File formats of results: PNG, TIFF, JPEG, an array, or the input's own format.

png    at the picture's depth, with alpha, colour profile and EXIF
tiff   likewise, with lossless compression (ZIP), and of EXIF only the descriptive texts
jpeg   quality 95, no colour subsampling, with colour profile and EXIF; 8 bits, no alpha
npy    the values, not clipped (`ipt.images.measurements`); npz likewise in an archive
same   the input's format; WebP is lossless, FITS has floats in the input's numbers; PNG if none of these is the input's
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import tifffile
from PIL import Image

from ipt.core.errors import IptError
from ipt.images import files, fits, measurements
from ipt.images.atomic import atomic
from ipt.images.choices import FORMAT_CHOICES, is_array
from ipt.images.files import Picture
from ipt.images.tiff import TEXTS

_SUFFIXES = {
    "png": ".png",
    "tiff": ".tif",
    "jpeg": ".jpg",
    "webp": ".webp",
    "fits": ".fits",
    "npy": ".npy",
    "npz": ".npz",
}
_JPEG, _WEBP = {"quality": 95, "subsampling": 0}, {"lossless": True, "exact": True}


def suffix_for(choice: str, picture: Picture, channels: int | None = None) -> str:
    """The suffix of the file of a result.

    With the choice "png", the result of an array, or one with other channels than a picture's, is an array.

    Args:
        choice: One of `FORMAT_CHOICES`.
        picture: The input, whose `source` names its format.
        channels: Of the result; None: those of the input.

    Raises:
        IptError: There is no such choice; or the format does not hold the picture's alpha or the result's channels.
    """
    if choice not in FORMAT_CHOICES:
        raise IptError(f"format= is {', '.join(FORMAT_CHOICES[:-1])} or {FORMAT_CHOICES[-1]}, not {choice!r}")
    kind = picture.source.partition(" ")[0].lower().replace("mpo", "jpeg") if choice == "same" else choice
    count = len(picture.pixels) if channels is None else channels
    if choice == "png" and (measurements.holds_array(picture) or count not in (1, 3)):
        kind = "npy"
    if kind == "jpeg" and picture.alpha is not None:
        raise IptError("the picture has alpha, which a JPEG has not; choose format=png or format=tiff")
    suffix = _SUFFIXES.get(kind, ".png")
    if count not in (1, 3) and not is_array(suffix):
        raise IptError(f"the result has {count} channels, and a file {suffix} has 1 or 3; choose format=npy")
    return suffix


def suffixes(choice: str) -> tuple[str, ...]:
    """All suffixes that results may have with a choice of format."""
    if choice == "same":
        return tuple(_SUFFIXES.values())
    return (_SUFFIXES[choice],) if choice in ("tiff", "jpeg") else (_SUFFIXES[choice], ".png", ".npy")


def write_as(path: Path, picture: Picture) -> None:
    """Write a picture in the format of a suffix that `suffix_for` gave, whole or not at all.

    Raises:
        IptError: Values that are NaN or infinite; a file that cannot be written.
    """
    if path.suffix == ".png":
        files.write(path, picture)
        return
    if is_array(path):
        measurements.write(path, picture.numbers)
        return
    writers = {".tif": _tiff, ".fits": _fits}
    data = writers.get(path.suffix, _by_pillow)(picture, path)
    with atomic(path) as file:
        file.write(data)


def _fits(picture: Picture, path: Path) -> bytes:
    # For its error: it raises for NaN.
    picture.levels(str(path))
    return fits.encode(picture.numbers.numpy(), picture.metadata.get(fits.HEADER, b""))


def _tiff(picture: Picture, path: Path) -> bytes:
    values = picture.levels(str(path))
    exif = Image.Exif()
    exif.load(picture.metadata.get("exif", b""))
    packed = BytesIO()
    options: dict[str, Any] = {"extrasamples": ["unassalpha"]} if picture.alpha is not None else {}
    tifffile.imwrite(
        packed,
        values[:, :, 0] if values.shape[2] == 1 else values,
        photometric="rgb" if values.shape[2] > 2 else "minisblack",
        planarconfig="contig" if values.shape[2] > 1 else None,
        compression="zlib",
        iccprofile=picture.metadata.get("icc"),
        metadata=None,
        software=False,
        extratags=[(tag, "s", 0, exif[tag], True) for tag in TEXTS if isinstance(exif.get(tag), str)],
        **options,
    )
    return packed.getvalue()


def _by_pillow(picture: Picture, path: Path) -> bytes:
    eight = replace(picture, depth=8).levels(str(path))
    image = Image.fromarray(eight[:, :, 0] if eight.shape[2] == 1 else eight)
    kind, options = ("JPEG", _JPEG) if path.suffix == ".jpg" else ("WEBP", _WEBP)
    described: dict[str, Any] = {"icc_profile": picture.metadata.get("icc")}
    if "exif" in picture.metadata:
        described["exif"] = b"Exif\0\0" + picture.metadata["exif"]
    packed = BytesIO()
    image.save(packed, kind, **options, **described)
    return packed.getvalue()
