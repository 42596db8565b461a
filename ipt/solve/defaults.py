"""The image's prior where none is named: `faces` for pictures of its size, `natural` for every other photograph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ipt.core.interfaces import IMAGE, Prior
from ipt.images import files
from ipt.plugins.building import build_component
from ipt.plugins.options import grouped
from ipt.solve.options import DEFAULT, Options

USUAL, ANY = "faces", "natural"


def with_usual_prior(options: Options) -> tuple[Options, str]:
    """The options with the image's prior chosen by the pictures' sizes, and a sentence that says so.

    Nothing is chosen, and nothing said, where a prior is named, where `--fit` says what to do with other sizes, where
    there is no input, and where `faces` takes every picture. Raises IptError: no such input, operator or settings.
    """
    if options["input"] is None or options["fit"] != "error" or f"prior.{IMAGE}" in options.origins:
        return options, ""
    operator = build_component("operator", options["operator"], grouped(options.settings()).get("operator", {}))
    usual = build_component("prior", USUAL)
    for name, height, width in _sizes(Path(options["input"])):
        _, *sides = operator.image_shape((3, height, width))
        if not _takes(usual, (3, *sides)):
            why = f"{USUAL} does not take the {sides[1]} x {sides[0]} px of {name}"
            chosen = options.with_values(prior={**options["prior"], IMAGE: ANY})
            origins = {**options.origins, f"prior.{IMAGE}": f"{DEFAULT}: {why}"}
            return replace(chosen, origins=origins), f"Prior {ANY}, since {why}; --prior names another."
    return options, ""


def _takes(prior: Prior, shape: tuple[int, ...]) -> bool:
    try:
        prior.chart(shape)
    except ValueError:
        return False
    return True


def _sizes(place: Path) -> Iterator[tuple[str, int, int]]:
    """Name, height and width of every picture, as the files say; what cannot be read will be reported when it is."""
    for path in files.inputs(place):
        try:
            with Image.open(path) as image:
                yield path.name, image.height, image.width
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
