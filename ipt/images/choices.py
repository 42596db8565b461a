"""Words that options take, and suffixes of files. Kept apart from what uses them, since help must not import torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from os import PathLike, fspath
from pathlib import PurePath

FIT_CHOICES = ("error", "resize", "crop", "tile")
LIGHT_CHOICES = ("auto", "linear", "display")
DOUBTFUL_CHOICES = ("mix", "show")
FORMAT_CHOICES = ("png", "same", "tiff", "jpeg", "npy", "npz")
RAW_SUFFIXES = tuple(
    ".dng .nef .nrw .cr2 .cr3 .crw .arw .sr2 .srf .raf .orf .rw2 .pef .srw .3fr .iiq .erf .kdc .mrw .x3f".split()
)
HEIF_SUFFIXES = (".heic", ".heif")
FITS_SUFFIXES = (".fits", ".fit", ".fts")
_PACKAGES = {
    **dict.fromkeys(RAW_SUFFIXES, "rawpy"),
    **dict.fromkeys(HEIF_SUFFIXES, "pillow_heif"),
    **dict.fromkeys(FITS_SUFFIXES, "astropy"),
}
USUAL_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".gif")
SUFFIXES = (*USUAL_SUFFIXES, *_PACKAGES)
"""Of files that are pictures, if the package that reads them is installed."""
ARRAY_SUFFIXES = (".npy", ".npz")
"""Of numpy files."""


def is_picture(name: str | PurePath) -> bool:
    """Whether a file has the suffix of a picture, and the package to read it is installed."""
    return PurePath(name).suffix.lower() in SUFFIXES and not package_for(name)


def is_array(name: str | PathLike[str]) -> bool:
    """Whether a file has a suffix of numpy's, or the text is one."""
    return fspath(name).lower().endswith(ARRAY_SUFFIXES)


def package_for(name: str | PurePath) -> str:
    """The package that is needed to read a file and is not installed; "" if none is missing."""
    package = _PACKAGES.get(PurePath(name).suffix.lower(), "")
    return package if package and find_spec(package) is None else ""


def taken(names: Iterable[str | PurePath]) -> Callable[[str | PurePath], bool]:
    """A test for the inputs among a folder's files: pictures, or if there are none numpy files."""
    return is_picture if any(map(is_picture, names)) else is_array
