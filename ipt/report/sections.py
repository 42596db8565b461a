"""What the page says of one picture, gathered from its record."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ipt.images.pictures import MOST_FRAMES
from ipt.report.curve import Curve, convergence_curve
from ipt.report.embedding import EmbeddedImage, ResultFiles
from ipt.report.formatting import number_list
from ipt.report.judgement import Judgement, judgement, with_options

Record = Mapping[str, Any]
"""What the json of a picture holds."""

_METRICS = {
    "psnr": ("PSNR", "dB"),
    "psnr_registered": ("PSNR, shift removed", "dB"),
    "drift": ("shift against the reference", "px"),
    "drift_cost": ("cost of the shift", "dB"),
    "psnr_input": ("PSNR of the input", "dB"),
    "psnr_mean": ("PSNR of the mean of the frames", "dB"),
    "psnr_median": ("PSNR of the median of the frames", "dB"),
    "ssim": ("SSIM", ""),
    "kernel_mnc": ("kernel MNC", ""),
    "kernel_mse": ("kernel MSE", ""),
    "tilt_error": ("tilt, mean distance", "px"),
}
_SHOWS = {1: "its largest value white", 2: "arrows to where each value came from"}
"""Of the picture of a parameter of so many channels."""
_KEY_METRICS = ("psnr", "ssim", "kernel_mnc")
_LEAST_OF_DRAWS = 320
"""Pixels: where the pictures of a page are embedded smaller, those of draws are links."""


@dataclass(frozen=True)
class Quantity:
    """A number, or several in words, with its label and unit; verdict: "good", "bad" or "" where it is neither."""

    label: str
    value: float | str | None
    unit: str = ""
    verdict: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class OptionRow:
    """An option, or what else a result was made with: its value in full, and who gave it."""

    name: str
    value: str
    origin: str = ""


@dataclass(frozen=True)
class Draw:
    """One draw: its pictures (the result, then the parameters), where there are files of it, and what is said of it."""

    label: str
    caption: str
    pictures: Sequence[EmbeddedImage]


@dataclass(frozen=True)
class Picture:
    """Everything about one solved picture.

    Attributes:
        judgement: What to think of it, and what to do.
        before: The input.
        after: The result.
        draws: Where there were several.
        links: Addresses of the files beside the page, by role.
    """

    stem: str
    anchor: str
    description: str
    judgement: Judgement | None
    key_numbers: Sequence[Quantity]
    before: EmbeddedImage | None
    after: EmbeddedImage | None
    figures: Sequence[EmbeddedImage]
    draws: Sequence[Draw]
    curve: Curve | None
    numbers: Sequence[Quantity]
    options: Sequence[OptionRow]
    links: Mapping[str, str]


def picture_section(out: Path, stem: str, record: Record, side: int, common: Record | None = None) -> Picture:
    """The section of a solved picture.

    Args:
        out: The folder of the run.
        stem: The name of the picture's files.
        record: What its json holds.
        side: Pixels of embedded pictures on their longer side, at most.
        common: Of several pictures, the record whose options are shown once for all: here only what differs is shown.
    """
    files = ResultFiles(out, record.get("files") or {})
    paths = {role: files.path(role) for role in files.names}
    return Picture(
        stem=stem,
        anchor=anchor(stem),
        description=_description(record),
        judgement=judgement(record),
        key_numbers=_key_numbers(record),
        before=files.embed("measurement", side, "the input", "before"),
        after=files.embed("result", side, "the result"),
        figures=[
            *_untrusted(files, record, min(side, 512)),
            *_embedded(files, _captions(files, record), min(side, 512)),
        ],
        draws=_draws(files, record, side),
        curve=convergence_curve(record.get("trace") or [], record.get("noise"), record.get("solved_sizes") or ()),
        numbers=_numbers(record),
        options=option_rows(record, common or {}),
        links={role: quote(os.fsencode(path.name)) for role, path in paths.items() if path is not None},
    )


def anchor(stem: str) -> str:
    """The id of a picture's section, safe in an attribute and in a link's fragment."""
    return "picture-" + quote(os.fsencode(stem), safe="").replace("%", "_")


def residual_ratio(record: Record) -> float | None:
    """The residual over the noise; where it was measured, away from the borders, of which the model may be wrong."""
    residual, noise = record.get("residual_inside", record.get("residual")), record.get("noise")
    return float(residual / noise) if residual is not None and noise else None


def option_rows(record: Record, common: Record) -> list[OptionRow]:
    """The options of a record, versions and weights, as far as `common` does not have the same; and its seed."""
    rows = []
    for name, option in _own(record, common, "options").items():
        given = option if isinstance(option, Mapping) else {"value": option}
        rows.append(OptionRow(name, _in_full(given.get("value")), str(given.get("from") or "")))
    for group in ("versions", "weights"):
        rows += [OptionRow(f"{group}: {name}", _in_full(v)) for name, v in _own(record, common, group).items()]
    if record.get("seed") is not None:
        rows.append(OptionRow("seed of this picture", str(record["seed"])))
    return rows


def _own(record: Record, common: Record, group: str) -> dict[str, Any]:
    shared = common.get(group) or {}
    return {name: value for name, value in (record.get(group) or {}).items() if shared.get(name) != value}


def _in_full(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_in_full, value))
    return "none" if value is None else str(value)


def _description(record: Record) -> str:
    channels, height, width = (record.get("shape") or (0, 0, 0))[:3]
    parts = [f"{width} \u00d7 {height} px", "grey" if channels == 1 else "colour", f"{record.get('depth', 8)} bits"]
    parts += [f"{record['frames']} frames"] if record.get("frames", 1) > 1 else []
    parts += [str(record["input"])] if record.get("input") else []
    if record.get("region"):
        x, y, across, down = record["region"]
        parts.append(f"parameters found in the {across} \u00d7 {down} px at {x}, {y} first")
    if record.get("streak"):
        x, y, across, down = record["streak"]
        parts.append(f"the kernel begun as the streak of {across} \u00d7 {down} px at {x}, {y}")
    return " \u00b7 ".join(parts)


def _key_numbers(record: Record) -> list[Quantity]:
    ratio, metrics = residual_ratio(record), record.get("metrics") or {}
    # Explained down to the noise: about 1. The bounds are wide, since a noise level is often a guess.
    verdict = "" if ratio is None else "good" if 0.8 <= ratio <= 1.25 else "bad" if ratio > 2 or ratio < 0.5 else ""
    found = [
        Quantity("residual / noise", ratio, verdict=verdict),
        *_probability(record),
        Quantity("time", record.get("seconds"), "s"),
    ]
    found += [_metric(name, metrics.get(name)) for name in _KEY_METRICS]
    for name, parameter in (record.get("parameters") or {}).items():
        values = number_list(parameter.get("values") or [])
        unit, meaning = str(parameter.get("unit", "")), str(parameter.get("meaning", ""))
        found.append(Quantity(name, values, unit, meaning=meaning))
    return [item for item in found if item.value is not None]


def _probability(record: Record) -> list[Quantity]:
    probability = record.get("probability")
    if probability is None:
        return []
    meaning = "that the parameters are right, judged without the truth"
    words = f"{100 * probability:.0f}"
    return [Quantity("likely right", words, "%", "good" if record.get("likely") else "bad", meaning)]


def _metric(name: str, value: float | None) -> Quantity:
    label, unit = _METRICS.get(name, (name.replace("_", " "), ""))
    return Quantity(label, value, unit)


def _captions(files: ResultFiles, record: Record) -> dict[str, str]:
    """By role, of the pictures beside the result."""
    captions = {role: f"{role} of the frames, without a solver" for role in ("mean", "median")}
    for role in files.names:
        if role in (record.get("sizes") or {}):
            channels, height, width = record["sizes"][role]
            shows = _SHOWS.get(channels, "each in its place, over the picture")
            frames = f" of the first {MOST_FRAMES} frames" if record.get("frames", 1) > MOST_FRAMES else ""
            captions[role] = f"{role}{frames}, {width} \u00d7 {height} px, {shows}"
    captions["residual"] = "residual: grey is zero, black and white \u00b14 times the noise level"
    top = record.get("spread_top")
    palest = f", palest at {top:.3g}" if isinstance(top, float) else ""
    captions["spread"] = f"spread of the samples: dark where they agree{palest}"
    return {**captions, "reference": "reference: the truth that was given"}


def _untrusted(files: ResultFiles, record: Record, side: int) -> list[EmbeddedImage]:
    """The input with what was left out of the solve, in red, and how much that is."""
    share = 1 - float(record.get("trusted") or 1)
    caption = f"in red what was not trusted: {100 * share:.2g} % of the input"
    if record.get("frames", 1) > 1:
        image = files.embed("mask", side, "mask", caption=caption)
        return [] if image is None else [image]
    image = files.embed("measurement", side, "mask", caption=caption, hidden="mask")
    return [] if image is None or files.path("mask") is None else [image]


def _draws(files: ResultFiles, record: Record, side: int) -> list[Draw]:
    """What each draw came to, the likeliest first; its pictures, unless the page has very many, only links."""
    told = [one for one in record.get("draws") or [] if isinstance(one, Mapping)]
    samples = [role for role in files.names if re.fullmatch(r"sample \d+", role)]
    found = []
    for number in range(1, max(len(told), len(samples)) + 1):
        one = told[number - 1] if number <= len(told) else {}
        chance, role = one.get("probability"), f"sample {number}"
        own = [each for each in files.names if each == role or each.startswith(f"{role}-")]
        captions = dict.fromkeys(own if side >= _LEAST_OF_DRAWS else [], "")
        said = [] if chance is None else [f"right with {100 * chance:.0f} %"]
        said += ["in the result"] if number in (record.get("shown") or []) else []
        said += [f"seed {one['seed']}"] if "seed" in one else []
        said += [with_options(str(one["doubt"]))] if one.get("doubt") else []
        found.append(
            (chance or 0.0, Draw(f"draw {number}", ", ".join(said), _embedded(files, captions, min(side, 320))))
        )
    ranked = [draw for _, draw in sorted(found, key=lambda each: -each[0])]
    return ranked if len(ranked) > 1 else []


def _embedded(files: ResultFiles, captions: Mapping[str, str], side: int) -> list[EmbeddedImage]:
    images = [files.embed(role, side, role, caption=caption) for role, caption in captions.items()]
    return [image for image in images if image is not None]


def _numbers(record: Record) -> list[Quantity]:
    rows = [
        Quantity("noise level (of 0..1)", record.get("noise")),
        Quantity("residual, root mean square", record.get("residual")),
        Quantity("residual away from the borders", record.get("residual_inside")),
        Quantity("residual / noise", residual_ratio(record)),
        Quantity("seconds", record.get("seconds")),
    ]
    rows += _exposures(record)
    rows += [Quantity(f"network calls, {name}", count) for name, count in (record.get("calls") or {}).items()]
    rows += [_metric(name, value) for name, value in (record.get("metrics") or {}).items()]
    return [row for row in rows if row.value is not None]


def _exposures(record: Record) -> list[Quantity]:
    """Frames that were not trusted everywhere, and frames that are noisier than the best."""
    each, rows = record.get("exposures") or [], []
    least = min((one["noise"] for one in each), default=0.0)
    for number, one in enumerate(each, 1):
        if one["trusted"] < 1:
            rows.append(Quantity(f"frame {number}, not trusted", 100 * (1 - one["trusted"]), "%"))
        if one["trusted"] > 0 and one["noise"] > (1 + 1e-6) * least:
            rows.append(Quantity(f"frame {number}, worse than others: counts as of noise", one["noise"]))
    return rows
