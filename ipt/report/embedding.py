"""The files of a result, and its pictures as data: URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ipt.images import files
from ipt.images.pictures import reddened

_ONE_OF_MANY = 240
"""Pixels. Pictures embedded with at most this side are one of many, and are compressed strongly."""
_PIXELATED = 256
"""Pixels. Pictures up to this side are shown enlarged with square pixels."""


@dataclass(frozen=True)
class EmbeddedImage:
    """The attributes of an <img> element and its caption; classes are those of the style sheet."""

    uri: str
    width: int
    height: int
    alt: str
    classes: str
    caption: str


@dataclass(frozen=True)
class ResultFiles:
    """The files of one result.

    Attributes:
        folder: that holds them and the page.
        names: by role, from the record of the result.
    """

    folder: Path
    names: Mapping[str, Any]

    def path(self, role: str) -> Path | None:
        """A file; None if the record names none, or it is missing, or lies in another folder."""
        name = self.names.get(role)
        path = self.folder / name if isinstance(name, str) else None
        return path if path is not None and path.name == name and path.is_file() else None

    def embed(
        self, role: str, side: int, alt: str, classes: str = "", caption: str = "", hidden: str = ""
    ) -> EmbeddedImage | None:
        """A picture, reduced to at most `side` pixels on its longer side.

        Args:
            role: Of the file.
            side: In pixels.
            alt: What the picture shows.
            classes: Of the style sheet, separated by spaces.
            caption: Of the picture.
            hidden: The role of a mask: where it is dark, the picture is tinted red.

        Returns:
            None if there is no such file.
        """
        path, mask = self.path(role), self.path(hidden)
        if path is None:
            return None
        image = _eight_bits(path)
        if mask is not None:
            image = reddened(image, _eight_bits(mask))
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        pixelated = "few" if max(image.size) <= _PIXELATED else ""
        joined = " ".join(filter(None, (classes, pixelated)))
        return EmbeddedImage(data_uri(image, side), image.width, image.height, alt, joined, caption)


def _eight_bits(path: Path) -> Image.Image:
    """A picture for the screen: L, LA, RGB or RGBA at 8 bits."""
    if path.suffix in (".tif", ".fits"):
        # Pillow does not read 16-bit colour, and takes numbers of any range for 0 to 255.
        values = replace(files.read(path, least=1), depth=8).levels()
        return Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)
    with Image.open(path) as file:
        return _converted(file)


def _converted(file: Image.Image) -> Image.Image:
    if file.mode.startswith("I"):
        return Image.fromarray((np.asarray(file).astype(np.float32) / 257).round().astype(np.uint8))
    return file.copy() if file.mode in ("L", "LA", "RGB", "RGBA") else file.convert("RGB")


def data_uri(image: Image.Image, side: int = 1200) -> str:
    """A picture as a data: URI: PNG if it is small or has alpha, else JPEG; WebP if it is one of many by its `side`."""
    packed = io.BytesIO()
    if side <= _ONE_OF_MANY:
        image.save(packed, kind := "webp", quality=75)
    elif max(image.size) <= 512 or image.mode in ("LA", "RGBA"):
        image.save(packed, kind := "png", optimize=True)
    else:
        image.save(packed, kind := "jpeg", quality=90)
    return f"data:image/{kind};base64,{base64.b64encode(packed.getvalue()).decode()}"
