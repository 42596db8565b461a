"""The image's prior where none is named: `faces` for pictures of its size, `natural` for every other photograph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ipt.core.abilities import framed_shape
from ipt.core.operator import IMAGE
from ipt.core.prior import Prior
from ipt.images import files
from ipt.plugins.building import build_component
from ipt.plugins.options import grouped
from ipt.plugins.run_options import DEFAULT
from ipt.solve.options import SolveOptions

USUAL, ANY = "faces", "natural"


def with_usual_prior(options: SolveOptions) -> tuple[SolveOptions, str]:
    """The options with a prior of the image, chosen by the pictures' sizes unless one is named.

    It is `faces` where there is no input, where `fit` says what to do with other sizes, and where `faces` takes every
    picture.

    Returns:
        The options, and a sentence about the choice; "": none was made.

    Raises:
        IptError: there is no such input, operator or setting.
    """
    if IMAGE in options.prior:
        return options, ""
    why = "" if options.input is None or options.fit != "error" else _reason(options, options.input)
    name = ANY if why else USUAL
    origins = {**options.origins, f"prior.{IMAGE}": f"{DEFAULT}: {why}" if why else DEFAULT}
    chosen = replace(options, prior={IMAGE: name, **options.prior}, origins=origins)
    return chosen, f"Prior {ANY}, since {why}." if why else ""


def _reason(options: SolveOptions, place: Path) -> str:
    """Why the usual prior cannot be; "" where it can."""
    operator = build_component("operator", options.operator, grouped(options.settings()).get("operator", {}))
    usual = build_component("prior", USUAL)
    for name, shape in _shapes(place):
        try:
            _, *sides = framed_shape(operator, operator.image_shape(shape))
        except ValueError:
            # What the operator does not take will be reported when it is solved.
            continue
        if not _takes(usual, (3, *sides)):
            return f"{USUAL} does not take the {sides[1]} x {sides[0]} px of {name}"
    return ""


def _takes(prior: Prior, shape: tuple[int, ...]) -> bool:
    try:
        prior.normalization(shape)
    except ValueError:
        return False
    return True


def _shapes(place: Path) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Name and shape of every picture, as the files say; what cannot be read will be reported when it is."""
    for path in files.inputs(place):
        try:
            with Image.open(path) as image:
                channels = 1 if image.mode.partition(";")[0] in ("1", "L", "LA", "I", "F") else 3
                yield path.name, (channels, image.height, image.width)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
