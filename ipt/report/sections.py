"""The parts of the report page: one section an image."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from ipt.images.pictures import MOST_FRAMES
from ipt.report.curve import curve

_ONE_OF_MANY = 240
"""Pictures embedded with at most such a side are there to be recognised, and are packed tightly."""
_PIXELATED = 256
"""Pictures up to this side are shown with their pixels as squares, as they are."""

_FEW = 4
"""So many numbers of a parameter are shown each."""

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


def anchor(stem: str) -> str:
    """The id of an image's section, safe in an attribute and in a link's fragment."""
    return "picture-" + quote(stem, safe="").replace("%", "_")


def unexplained(record: Mapping[str, Any]) -> float | None:
    """The residual over the noise, away from the borders where that was measured: there the forward model may be wrong
    of what lies outside the frame."""
    residual, noise = record.get("residual_inside", record.get("residual")), record.get("noise")
    return residual / noise if residual is not None and noise else None


def number(value: float | None) -> str:
    """A number to three places or so, as people read it; an em dash for none."""
    if value is None:
        return "\u2014"
    if isinstance(value, int):
        return str(value)
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 10 else f"{value:#.3g}"


def listed(values: Sequence[float]) -> str:
    """A few numbers, or how many there are and from where to where."""
    if len(values) <= _FEW:
        return ", ".join(map(number, values))
    return f"{len(values)} values, {number(min(values))} to {number(max(values))}"


def thumbnail(out: Path, record: Mapping[str, Any]) -> str:
    return _image(out, record, "result", 64, "")


def failure(stem: str, record: Mapping[str, Any]) -> str:
    """What became of an image that has no result."""
    reason = escape(str(record.get("reason") or "no reason was recorded"))
    return (
        f'<section class="card failed" id="{anchor(stem)}-failed"><h2>{escape(stem)}</h2>'
        f'<p><strong class="bad">Failed.</strong> {reason}</p></section>'
    )


def detail(out: Path, stem: str, record: Mapping[str, Any], side: int, more: str = "") -> str:
    """Everything about one solved image; pictures are embedded with at most `side` pixels on the longer side. more:
    what else is said of it, in HTML."""
    channels, height, width = (record.get("shape") or (0, 0, 0))[:3]
    facts = [f"{width} \u00d7 {height} px", "grey" if channels == 1 else "colour", f"{record.get('depth', 8)} bits"]
    if record.get("frames", 1) > 1:
        facts.append(f"{record['frames']} frames")
    if record.get("input"):
        facts.append(str(record["input"]))
    said = escape(" \u00b7 ".join(facts))
    chart = curve(record.get("trace") or [], record.get("noise"), record.get("solved_sizes") or ())
    convergence = f"<div><h3>Convergence: residual by step</h3>{chart}</div>" if chart else ""
    small = _small_pictures(out, record, side)
    grid = "pictures four" if len(small) > 2 else "pictures"
    return (
        f'<section class="card" id="{anchor(stem)}"><header><h2>{escape(stem)}</h2><p>{said}</p></header>'
        f"{_key_numbers(record)}"
        f'<div class="{grid}">{_compare(out, stem, record, side)}<div class="side">{"".join(small)}</div></div>'
        f"{_samples(out, record, min(side, 320))}"
        f'<div class="row">{convergence}<div><h3>Numbers</h3>{_numbers(record)}</div></div>'
        f"{options_table(record)}{more}</section>"
    )


def _key_numbers(record: Mapping[str, Any]) -> str:
    ratio = unexplained(record)
    # Explained down to the noise: about 1. The bounds are wide, since a noise level is often a guess.
    verdict = "" if ratio is None else "good" if 0.8 <= ratio <= 1.25 else "bad" if ratio > 2 or ratio < 0.5 else ""
    metrics = record.get("metrics") or {}
    shown = [("residual / noise", ratio, "", verdict), ("time", record.get("seconds"), "s", "")]
    shown += [(_METRICS[name][0], metrics.get(name), _METRICS[name][1], "") for name in ("psnr", "ssim", "kernel_mnc")]
    items = [
        f'<div><dt>{name}</dt><dd class="{kind}">{number(value)} <small>{unit}</small></dd></div>'
        for name, value, unit, kind in shown
        if value is not None
    ]
    for name, said in (record.get("parameters") or {}).items():
        title, unit = escape(str(said.get("meaning", ""))), escape(str(said.get("unit", "")))
        value = escape(listed(said.get("values") or []))
        items.append(f'<div title="{title}"><dt>{escape(name)}</dt><dd>{value} <small>{unit}</small></dd></div>')
    return f'<dl class="key">{"".join(items)}</dl>'


def _compare(out: Path, stem: str, record: Mapping[str, Any], side: int) -> str:
    alike = _alike(out, record)
    before = _image(out, record, "measurement", side, "the input", "before" if alike else "")
    after = _image(out, record, "result", side, "the result")
    if not before or not after:
        return f"<figure>{after}</figure>"
    if not alike:
        return (
            f"<div><figure>{after}<figcaption>the result</figcaption></figure>"
            f"<figure>{before}<figcaption>the input</figcaption></figure></div>"
        )
    return (
        f'<figure><div class="compare">{after}{before}<span class="divider"></span>'
        '<span class="tag left">input</span><span class="tag right">result</span>'
        f'<input type="range" min="0" max="100" value="50" '
        f'aria-label="Input on the left, result on the right: {escape(stem)}">'
        "</div><figcaption>Drag, or use the arrow keys, to compare input and result.</figcaption></figure>"
    )


def _alike(out: Path, record: Mapping[str, Any]) -> bool:
    """Whether input and result are of one format, so that one can lie on the other."""
    paths = [out / str((record.get("files") or {}).get(role)) for role in ("measurement", "result")]
    if not all(path.parent == out and path.is_file() for path in paths):
        return False
    (wide, high), (across, down) = (_size(path) for path in paths)
    return wide * down == high * across


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as file:
        return file.size


def _small_pictures(out: Path, record: Mapping[str, Any], side: int) -> list[str]:
    sizes = record.get("sizes") or {}
    figures = [(role, f"{role} of the frames, without a solver") for role in ("mean", "median")]
    for role in record.get("files") or {}:
        if role in sizes:
            channels, height, width = sizes[role]
            said = "its largest value white" if channels == 1 else "arrows to where each value came from"
            frames = f" of the first {MOST_FRAMES} frames" if record.get("frames", 1) > MOST_FRAMES else ""
            figures.append((role, f"{role}{frames}, {width} \u00d7 {height} px, {said}"))
    figures.append(("residual", "residual: grey is zero, black and white \u00b14 times the noise level"))
    figures.append(("spread", _spread_caption(record)))
    figures.append(("reference", "reference: the truth that was given"))
    shown = []
    for role, caption in figures:
        image = _image(out, record, role, min(side, 512), role)
        if image:
            shown.append(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")
    return shown


def _spread_caption(record: Mapping[str, Any]) -> str:
    top = record.get("spread_top")
    return "spread of the samples: dark where they agree" + (f", palest at {top:.3g}" if isinstance(top, float) else "")


def _samples(out: Path, record: Mapping[str, Any], side: int) -> str:
    roles = [role for role in record.get("files") or {} if role.startswith("sample ")]
    if not roles:
        return ""
    shown = []
    for role in roles:
        image = _image(out, record, role, side, role)
        shown.append(f"<figure>{image}<figcaption>{escape(role)}</figcaption></figure>")
    return f'<details><summary>{len(roles)} samples</summary><div class="strip">{"".join(shown)}</div></details>'


def _numbers(record: Mapping[str, Any]) -> str:
    rows = [("noise level (of 0..1)", record.get("noise")), ("residual, root mean square", record.get("residual"))]
    rows.append(("residual away from the borders", record.get("residual_inside")))
    rows.append(("residual / noise", unexplained(record)))
    rows.append(("seconds", record.get("seconds")))
    rows += [(f"network calls, {name}", count) for name, count in (record.get("calls") or {}).items()]
    for name, value in (record.get("metrics") or {}).items():
        label, unit = _METRICS.get(name, (name.replace("_", " "), ""))
        rows.append((f"{label}, {unit}" if unit else label, value))
    cells = [
        f'<tr><th scope="row">{escape(label)}</th><td class="number">{number(value)}</td></tr>'
        for label, value in rows
        if value is not None
    ]
    return f"<table><tbody>{''.join(cells)}</tbody></table>"


def options_table(record: Mapping[str, Any]) -> str:
    """The options of a record, what it was made with, and its seed; "" where it says nothing of them."""
    rows = []
    for name, option in (record.get("options") or {}).items():
        value, origin = (option.get("value"), option.get("from")) if isinstance(option, Mapping) else (option, None)
        rows.append((name, value, origin or ""))
    for group in ("versions", "weights"):
        rows += [(f"{group}: {name}", value, "") for name, value in (record.get(group) or {}).items()]
    if record.get("seed") is not None:
        rows.append(("seed of this picture", str(record["seed"]), ""))
    if not rows:
        return ""
    cells = [
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(_said(value))}</td><td>{escape(str(origin))}</td></tr>'
        for name, value, origin in rows
    ]
    return (
        '<details><summary>Options, and where each came from</summary><div class="scroll"><table>'
        '<thead><tr><th scope="col">option</th><th scope="col">value</th><th scope="col">from</th></tr></thead>'
        f"<tbody>{''.join(cells)}</tbody></table></div></details>"
    )


def _said(value: Any) -> str:
    """An option's value in full."""
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return "none" if value is None else str(value)


def _image(out: Path, record: Mapping[str, Any], role: str, side: int, alt: str, kind: str = "") -> str:
    """An <img> with the picture inside; "" where the record names no such file or it is gone."""
    name = (record.get("files") or {}).get(role)
    path = out / name if isinstance(name, str) else None
    # Names come from a file: only siblings are looked at.
    if path is None or path.name != name or not path.is_file():
        return ""
    with Image.open(path) as file:
        image = _eight_bits(file)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    few = "few" if max(image.size) <= _PIXELATED else ""
    classes = f' class="{" ".join(filter(None, (kind, few)))}"' if kind or few else ""
    return (
        f'<img{classes} src="{_data_uri(image, side)}" width="{image.width}" height="{image.height}" '
        f'alt="{escape(alt)}" loading="lazy" decoding="async">'
    )


def _eight_bits(file: Image.Image) -> Image.Image:
    """For the screen: L, LA, RGB or RGBA at 8 bits."""
    if file.mode.startswith("I"):
        return Image.fromarray((np.asarray(file).astype(np.float32) / 257).round().astype(np.uint8))
    return file.copy() if file.mode in ("L", "LA", "RGB", "RGBA") else file.convert("RGB")


def _data_uri(image: Image.Image, side: int) -> str:
    """Lossless where it is small, else JPEG, unless it has alpha; where it is one of very many (`side`), WebP."""
    packed = io.BytesIO()
    if side <= _ONE_OF_MANY:
        image.save(packed, kind := "webp", quality=75)
    elif max(image.size) <= 512 or image.mode in ("LA", "RGBA"):
        image.save(packed, kind := "png", optimize=True)
    else:
        image.save(packed, kind := "jpeg", quality=90)
    return f"data:image/{kind};base64,{base64.b64encode(packed.getvalue()).decode()}"
