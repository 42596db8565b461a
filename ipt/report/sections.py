"""The section of one picture in the report: its record and files -> `Picture`, the data of the template."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ipt.images.pictures import MOST_FRAMES
from ipt.report.curve import Curve, convergence_curve
from ipt.report.embedding import EmbeddedImage, ResultFiles
from ipt.report.formatting import number_list
from ipt.report.judgement import Judgement, judgement, with_options
from ipt.report.record import OptionRow, Record, option_rows, residual_ratio

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
"""What the picture of a parameter shows, by its number of channels."""
_KEY_METRICS = ("psnr", "ssim", "kernel_mnc")
_LEAST_OF_DRAWS = 320
"""Pixels. On pages with smaller pictures, draws have no pictures, only links."""


@dataclass(frozen=True)
class Quantity:
    """A labelled number, or several as text.

    Attributes:
        label: What it is.
        value: The number or text; None: it is not known.
        unit: Of the number.
        verdict: "good", "bad", or "" for neither.
        meaning: An explanation.
    """

    label: str
    value: float | str | None
    unit: str = ""
    verdict: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class Draw:
    """One draw: its label, its caption, and its pictures (the result, then the parameters), if there are files."""

    label: str
    caption: str
    pictures: Sequence[EmbeddedImage]


@dataclass(frozen=True)
class Picture:
    """The section of one solved picture.

    Attributes:
        stem: What the names of its files begin with.
        anchor: The id of the section.
        description: Size, colours, depth and name of the input.
        judgement: The verdict; None: there is none.
        key_numbers: The most important numbers.
        before: The input.
        after: The result.
        figures: Other pictures.
        draws: The draws, if there were several.
        curve: The convergence; None: there is no trace.
        numbers: All other numbers.
        options: Options, versions and hashes that differ from the common ones.
        links: Relative URLs of the files, by role.
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
        stem: What the names of its files begin with.
        record: The contents of its json.
        side: The most pixels of embedded pictures on their longer side.
        common: The record whose options the page shows once for all pictures; only what differs is shown here.
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


def _description(record: Record) -> str:
    channels, height, width = (record.get("shape") or (0, 0, 0))[:3]
    parts = [f"{width} \u00d7 {height} px", "grey" if channels == 1 else "colour", f"{record.get('depth', 8)} bits"]
    parts += [f"{record['frames']} frames"] if record.get("frames", 1) > 1 else []
    parts += [str(record["input"])] if record.get("input") else []
    if record.get("region"):
        x, y, across, down = record["region"]
        parts.append(f"parameters found in the {across} \u00d7 {down} px at {x}, {y} first")
    if (scale := record.get("enlarged", 1)) > 1:
        parts.append(f"solved at 1/{scale} of its sides and enlarged")
    elif record.get("half"):
        parts.append("solved at half its sides first")
    if record.get("streak"):
        x, y, across, down = record["streak"]
        parts.append(f"the kernel begun as the streak of {across} \u00d7 {down} px at {x}, {y}")
    return " \u00b7 ".join(parts)


def _key_numbers(record: Record) -> list[Quantity]:
    ratio, metrics = residual_ratio(record), record.get("metrics") or {}
    found = [
        Quantity("residual / noise", ratio, verdict=_ratio_verdict(ratio)),
        *_probability(record),
        Quantity("time", record.get("seconds"), "s"),
    ]
    found += [_metric(name, metrics.get(name)) for name in _KEY_METRICS]
    for name, parameter in (record.get("parameters") or {}).items():
        values = number_list(parameter.get("values") or [])
        unit, meaning = str(parameter.get("unit", "")), str(parameter.get("meaning", ""))
        found.append(Quantity(name, values, unit, meaning=meaning))
    return [item for item in found if item.value is not None]


def _ratio_verdict(ratio: float | None) -> str:
    """The verdict on residual / noise, about 1 for a good fit; wide bounds, since noise levels are often estimates."""
    if ratio is None:
        return ""
    if 0.8 <= ratio <= 1.25:
        return "good"
    return "bad" if ratio > 2 or ratio < 0.5 else ""


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
    """Captions of the pictures besides input and result, by role."""
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
    """The input with the masked pixels in red, and their share; empty if everything was trusted."""
    share = 1 - float(record.get("trusted") or 1)
    caption = f"in red what was not trusted: {100 * share:.2g} % of the input"
    if record.get("frames", 1) > 1:
        image = files.embed("mask", side, "mask", caption=caption)
        return [] if image is None else [image]
    image = files.embed("measurement", side, "mask", caption=caption, hidden="mask")
    return [] if image is None or files.path("mask") is None else [image]


def _draws(files: ResultFiles, record: Record, side: int) -> list[Draw]:
    """The draws of a picture, the likeliest first; empty if there was one only."""
    entries = [entry for entry in record.get("draws") or [] if isinstance(entry, Mapping)]
    samples = [role for role in files.names if re.fullmatch(r"sample \d+", role)]
    count = max(len(entries), len(samples))
    if count < 2:
        return []
    draws = []
    for number in range(1, count + 1):
        entry = entries[number - 1] if number <= len(entries) else {}
        role = f"sample {number}"
        roles = [each for each in files.names if each == role or each.startswith(f"{role}-")]
        captions = dict.fromkeys(roles if side >= _LEAST_OF_DRAWS else [], "")
        caption = _draw_caption(entry, number in (record.get("shown") or []))
        draw = Draw(f"draw {number}", caption, _embedded(files, captions, min(side, 320)))
        draws.append((entry.get("probability") or 0.0, draw))
    return [draw for _, draw in sorted(draws, key=lambda each: -each[0])]


def _draw_caption(entry: Record, in_result: bool) -> str:
    """Probability, use in the result, seed and doubt of a draw, as far as they are known."""
    parts = []
    if entry.get("probability") is not None:
        parts.append(f"right with {100 * entry['probability']:.0f} %")
    if in_result:
        parts.append("in the result")
    if "seed" in entry:
        parts.append(f"seed {entry['seed']}")
    if entry.get("doubt"):
        parts.append(with_options(str(entry["doubt"])))
    return ", ".join(parts)


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
    """The frames that were masked in part, and those that count as noisier than the best one."""
    each, rows = record.get("exposures") or [], []
    least = min((one["noise"] for one in each), default=0.0)
    for number, one in enumerate(each, 1):
        if one["trusted"] < 1:
            rows.append(Quantity(f"frame {number}, not trusted", 100 * (1 - one["trusted"]), "%"))
        if one["trusted"] > 0 and one["noise"] > (1 + 1e-6) * least:
            rows.append(Quantity(f"frame {number}, worse than others: counts as of noise", one["noise"]))
    return rows
