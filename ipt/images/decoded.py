"""`Decoded`, what the modules for file formats (`raster`, `tiff`, `raw`, ...) return, and the errors they raise."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, UnidentifiedImageError

from ipt.core.errors import IptError

MOST_PIXELS = 178_956_970
"""Pillow's limit against decompression bombs: 2/3 GiB of colour at 8 bits."""
_READABLE = "PNG, JPEG, TIFF or WebP"


class Unusable(ValueError):
    """An intact file that cannot be used; the message says what it is and what to do."""


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    Attributes:
        values: float32 (H, W, C), C = 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha; alpha is not multiplied
            into the others. In 0..1, or of a file of floats as they are.
        depth: bits a channel to write it with, 8 or 16.
        source: format and kind of pixels of the file, as in "JPEG RGB".
        orientation: EXIF's, 1..8, which the values do not follow yet.
        metadata: as of `ipt.images.files.Picture`.
        span: the numbers of the file that 0 and 1 stand for, where they may be any; None: 0 and 1, or the largest.
    """

    values: np.ndarray
    depth: int
    source: str
    orientation: int = 1
    metadata: dict[str, bytes] = field(default_factory=dict)
    span: tuple[float, float] | None = None


@contextmanager
def reading(place: str) -> Iterator[None]:
    """A context for decoding the file `place`: exceptions become IptErrors about it, and warnings are suppressed."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of damaged tags, and of sizes from 89 million pixels on.
            warnings.simplefilter("ignore")
            yield
    except (IptError, MemoryError):
        raise
    except Unusable as error:
        raise IptError(f"{place} cannot be used: {error}") from error
    except UnidentifiedImageError as error:
        raise IptError(f"{place} is not a picture that ipt reads; convert it to {_READABLE}") from error
    except Image.DecompressionBombError as error:
        raise IptError(f"{place} cannot be used: {_too_large()}") from error
    except Exception as error:
        # Decoders raise anything on damaged bytes: struct.error, zlib.error, KeyError, TypeError, ...
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise IptError(f"{place} is damaged or cut short ({reason}); copy it again, or save it again") from error


def check_size(width: int, height: int) -> None:
    """Raise Unusable for more than `MOST_PIXELS`, struct.error for a picture without pixels."""
    if width < 1 or height < 1:
        raise struct.error(f"it has {width} x {height} pixels")
    if width * height > MOST_PIXELS:
        raise Unusable(_too_large())


def unmultiplied(values: np.ndarray) -> np.ndarray:
    """Undo premultiplied alpha: values (H, W, C), alpha last, divided by alpha; black where it is 0."""
    colours, alpha = values[:, :, :-1], values[:, :, -1:]
    divided = np.divide(colours, alpha, out=np.zeros_like(colours), where=alpha > 0)
    return np.concatenate([divided, alpha], axis=-1)


def several(pages: int) -> Unusable:
    """The error for a file of several pages or frames where one picture is wanted."""
    return Unusable(
        f"it has {pages} pages or frames; save the one you mean as its own file, or give frames=True if all of them "
        f"are exposures of one scene"
    )


def _too_large() -> str:
    return f"it has more than {MOST_PIXELS:,} pixels, which is the most that ipt reads; cut or reduce it"
