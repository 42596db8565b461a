"""The parts of the report page: one section an image."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from ipt.runs.curve import curve

_PIXELATED = 256
"""Pictures up to this side are shown with their pixels as squares, as they are."""

_METRICS = {
    "psnr": ("PSNR", "dB"),
    "psnr_registered": ("PSNR, shift removed", "dB"),
    "drift": ("shift against the reference", "px"),
    "drift_cost": ("cost of the shift", "dB"),
    "ssim": ("SSIM", ""),
    "kernel_mnc": ("kernel MNC", ""),
    "kernel_mse": ("kernel MSE", ""),
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


def thumbnail(out: Path, record: Mapping[str, Any]) -> str:
    return _image(out, record, "result", 88, "")


def failure(stem: str, record: Mapping[str, Any]) -> str:
    """What became of an image that has no result."""
    reason = escape(str(record.get("reason") or "no reason was recorded"))
    return (
        f'<section class="card failed" id="{anchor(stem)}-failed"><h2>{escape(stem)}</h2>'
        f'<p><strong class="bad">Failed.</strong> {reason}</p></section>'
    )


def detail(out: Path, stem: str, record: Mapping[str, Any], side: int) -> str:
    """Everything about one solved image; pictures are embedded with at most `side` pixels on the longer side."""
    channels, height, width = (record.get("shape") or (0, 0, 0))[:3]
    facts = [f"{width} \u00d7 {height} px", "grey" if channels == 1 else "colour", f"{record.get('depth', 8)} bits"]
    if record.get("input"):
        facts.append(str(record["input"]))
    said = escape(" \u00b7 ".join(facts))
    chart = curve(record.get("trace") or [], record.get("noise"))
    convergence = f"<div><h3>Convergence: residual by step</h3>{chart}</div>" if chart else ""
    small = _small_pictures(out, record, side)
    grid = "pictures four" if len(small) > 2 else "pictures"
    return (
        f'<section class="card" id="{anchor(stem)}"><header><h2>{escape(stem)}</h2><p>{said}</p></header>'
        f"{_key_numbers(record)}"
        f'<div class="{grid}">{_compare(out, stem, record, side)}<div class="side">{"".join(small)}</div></div>'
        f"{_samples(out, record, min(side, 320))}"
        f'<div class="row">{convergence}<div><h3>Numbers</h3>{_numbers(record)}</div></div>'
        f"{_options(record)}</section>"
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
    return f'<dl class="key">{"".join(items)}</dl>'


def _compare(out: Path, stem: str, record: Mapping[str, Any], side: int) -> str:
    before = _image(out, record, "measurement", side, "the input", "before")
    after = _image(out, record, "result", side, "the result")
    if not before or not after:
        return f"<figure>{after}</figure>"
    return (
        f'<figure><div class="compare">{after}{before}<span class="divider"></span>'
        '<span class="tag left">input</span><span class="tag right">result</span>'
        f'<input type="range" min="0" max="100" value="50" '
        f'aria-label="Input on the left, result on the right: {escape(stem)}">'
        "</div><figcaption>Drag, or use the arrow keys, to compare input and result.</figcaption></figure>"
    )


def _small_pictures(out: Path, record: Mapping[str, Any], side: int) -> list[str]:
    sizes = record.get("sizes") or {}
    figures = []
    for role in record.get("files") or {}:
        if role in sizes:
            height, width = sizes[role][-2:]
            figures.append((role, f"{role}, {width} \u00d7 {height} px, its largest value white"))
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
        label, unit = _METRICS.get(name, (name, ""))
        rows.append((f"{label}, {unit}" if unit else label, value))
    cells = [
        f'<tr><th scope="row">{escape(label)}</th><td class="number">{number(value)}</td></tr>'
        for label, value in rows
        if value is not None
    ]
    return f"<table><tbody>{''.join(cells)}</tbody></table>"


def _options(record: Mapping[str, Any]) -> str:
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
        f'<img{classes} src="{_data_uri(image)}" width="{image.width}" height="{image.height}" '
        f'alt="{escape(alt)}" loading="lazy" decoding="async">'
    )


def _eight_bits(file: Image.Image) -> Image.Image:
    """For the screen: L, LA, RGB or RGBA at 8 bits."""
    if file.mode.startswith("I"):
        return Image.fromarray((np.asarray(file).astype(np.float32) / 257).round().astype(np.uint8))
    return file.copy() if file.mode in ("L", "LA", "RGB", "RGBA") else file.convert("RGB")


def _data_uri(image: Image.Image) -> str:
    """Lossless where it is small, else JPEG, unless it has alpha."""
    packed = io.BytesIO()
    if max(image.size) <= 512 or image.mode in ("LA", "RGBA"):
        image.save(packed, "PNG", optimize=True)
        kind = "png"
    else:
        image.save(packed, "JPEG", quality=90)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(packed.getvalue()).decode()}"
