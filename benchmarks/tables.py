"""The tables and figures on the pages, made from the files in benchmarks/results.

    python benchmarks/tables.py

On a page, a table stands between `<!-- table NAME -->` and `<!-- end of table -->`; NAME is one of TABLES. A figure
in a sentence is followed by its name, `29.4<!-- coarse to fine.psnr -->` (figures.py). Tests fail where a page says
something else than the files, and where a figure that looks measured has no name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import solved_photographs
from common import interval
from figures import figures, mean, result, short

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples" / "plugins").rglob("README.md")),
    *sorted((ROOT / "ipt" / "priors" / "weights").rglob("card.md")),
]
FIGURE = re.compile(r"([\w.,-]+)(<!-- ([\w -]+\.[\w .-]+) -->)")
"""What a figure is, its mark, and in it its name."""


def lines(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    each = [" | ".join(["", *row, ""]).strip().replace("|  |", "| |").replace("|  |", "| |") for row in (header, *rows)]
    return "\n".join([each[0], "|---" * len(header) + "|", *each[1:]]) + "\n"


def blind_deblurring() -> str:
    files = (
        ("prox_motion_circular", "`proximal`"),
        ("dps_motion_circular", "`dps`, 1000 steps, 20 faces"),
        ("prox_motion_reflect_unknown", "`proximal`"),
        ("dps_motion_reflect", "`dps`, 1000 steps, 20 faces"),
        ("prox_true_unknown", "`proximal`, true kernel"),
        ("prox_gauss_circular", "`proximal`"),
        ("dps_gauss_circular", "`dps`, 1000 steps, 20 faces"),
        ("prox_gauss_unknown", "`proximal`"),
    )
    rows = []
    for name, guidance in files:
        found = result(name)
        options = found["options"]
        told = "nothing" if options["border"] == "unknown" else options["border"]
        psnr, mnc = (
            short(" ".join(interval([row[key] for row in found["rows"]], digits)).replace("..", " to "))
            for key, digits in (("psnr", 1), ("mnc", 3))
        )
        kernels = {"motion": "motion", "gaussian": "Gaussian"}[options["kernels"]]
        rows.append(
            [guidance, kernels, f"{options['made_with']} / {told}", psnr, "" if options["true_kernel"] else mnc]
        )
    return lines(["guidance", "kernels", "border of the data / told", "PSNR", "MNC"], rows)


def turbulence() -> str:
    files = (
        ("patches_told", "all, the kind of field told"),
        ("patches", "all"),
        ("patches_ignored", "tilt ignored"),
        ("kolmogorov", "all"),
        ("kolmogorov_ignored", "tilt ignored"),
    )
    rows = []
    for name, by in files:
        found = result(f"turbulence_{name}")
        options, each = found["options"], found["rows"]
        fields = {"patches": "patches", "kolmogorov": "Kolmogorov"}[options["fields"]]
        tilt = ["", ""] if options["solve"] == "blur" else [mean(each, "epe", 3), mean(each, "epe_zero", 3)]
        scores = [mean(each, key, 1) for key in ("psnr_measurement", "psnr", "psnr_registered")]
        rows.append([fields, str(options["frames"]), by, str(len(each)), *scores, *tilt])
    return lines(["fields", "frames", "solved for", "faces", "measured", "PSNR", "registered", "tilt", "zeros"], rows)


def bursts() -> str:
    found = result("bursts_val")["rows"]
    rows = []
    for row in sorted((row for row in found if row["code"] == "ff65086"), key=lambda row: row["d_over_r0"]):
        same = {one["code"]: one for one in found if all(one[key] == row[key] for key in ("picture", "d_over_r0"))}
        codes = ("14a9722", "ff65086", "36fb35e")
        each = [
            [short(same[code][key], digits) if code in same else "" for code in codes]
            for key, digits in (("psnr", 1), ("kernel", 2))
        ]
        known = [short(row[f"psnr_{name}"], 1) for name in ("mean", "median")]
        rows.append([f"{row['d_over_r0']:g}", row["picture"].removesuffix(".jpg"), *known, *each[0], *each[1]])
    codes = [f"{name}, {when}" for name in ("PSNR", "kernel") for when in ("before", "then", "now")]
    return lines(["D/r0", "picture", "mean", "median", *codes], rows)


def known_kernel() -> str:
    rows = []
    for row in result("known_kernel")["rows"]:
        scores = [f"{row[key]:.1f}" for key in ("measured", "wiener", "rl", "tv", "cut", "whole")]
        rows.append([row["picture"].removesuffix(".jpg"), row["kernel"], *scores])
    return lines(
        [
            "picture",
            "kernel",
            "measured",
            "Wiener",
            "Richardson-Lucy",
            "total variation",
            "`ipt`",
            "`ipt`, border given",
        ],
        rows,
    )


def verdict() -> str:
    rows = [
        [
            short(f"{one['from']:g} to {one['to']:g}"),
            str(one["solves"]),
            *(short(one[key], 2) for key in ("said", "right")),
        ]
        for one in result("verdict_fit")["bins"]
    ]
    return lines(["said", "solves", "mean said", "right"], rows)


def example_plugins() -> str:
    unknowns = {
        "ipt-defocus": ("the radius of a disc, 1 to 5 px", " px"),
        "ipt-gamma": ("exponent and gain of a camera's response", ""),
        "ipt-downscale": ("two widths of the filter before downscaling, .6 to 2 px", " px"),
        "ipt-mri-motion": ("a shift for each of 64 readouts, rms .7 px", " px"),
    }
    rows = []
    for name, (unknown, unit) in unknowns.items():
        run = result("examples")["runs"][name][0]
        errors = [float(np.median([row[f"{each}_rms"] for row in run["rows"]])) for each in run["parameters"]]
        found = " and ".join(short(f"{error:.2g}") for error in errors) + unit
        psnr = " / ".join(mean(run["rows"], key, 1) for key in ("psnr", "psnr_known"))
        rows.append([f"[{name}]({name})", unknown, found, psnr])
    return lines(
        ["package", "unknown besides the picture", "found, typically within", "PSNR: blind / with the true parameters"],
        rows,
    )


def shake() -> str:
    found, larger = result("shake")["rows"], result("shake_384")["rows"]

    def score(operator: str, data: str, known: bool, tiles: int, found: list[dict[str, Any]] = found) -> str:
        case = {"operator": operator, "data": data, "known": known, "tiles": tiles}
        rows = [row for row in found if case.items() <= row.items()]
        return f"{np.mean([row['psnr_registered'] for row in rows]):.2f}" if rows else ""

    cases = (
        ("turned, blind", "turned", False),
        ("shifted alone, blind", "shifted", False),
        ("turned, true kernels (of the middle; 4x4)", "turned", True),
        ("shifted alone, true kernel", "shifted", True),
    )
    rows = [[name, score("blur", data, known, 1), score("shake", data, known, 4)] for name, data, known in cases]
    rows += [
        [f"{name}, blind, 384x384", score("blur", data, False, 1, larger), score("shake", data, False, 6, larger)]
        for name, data in (("turned", "turned"), ("shifted alone", "shifted"))
    ]
    return lines(["", "`blur`", "`shake`"], rows)


def linear_light() -> str:
    rows = []
    for name, blurred in (("light, then encoded as sRGB", "light"), ("the values", "values")):
        each = [row for row in result("linear_light")["rows"] if row["blurred"] == blurred]
        rows.append([name, *(mean(each, key, 1) for key in ("input", "known display", "known linear"))])
    return lines(["blurred were", "measured", "`--light display`", "`--light linear`"], rows)


def denoising() -> str:
    found = result("denoising")["results"]
    levels = list(dict.fromkeys(row["level"] for row in found))
    rows = []
    for name, method in (("`natural`", "natural"), ("FFDNet", "ffdnet")):
        of = {row["level"]: row["psnr"] for row in found if row["method"] == method}
        rows.append([name, *(f"{np.mean(of[level]):.2f}" for level in levels)])
    return lines(["noise, of 255", *map(str, levels)], rows)


def kernel_prior() -> str:
    found = result("kernel_prior")["rows"]
    levels, kinds = (list(dict.fromkeys(row[key] for row in found)) for key in ("sigma", "generator"))
    rows = []
    for kind in kinds:
        of = ([row for row in found if row["generator"] == kind and row["sigma"] == level] for level in levels)
        rows.append([kind, *(mean(each, "mnc", 3) for each in of)])
    return lines(["kernels", *(f"sigma {short(f'{level:g}')}" for level in levels)], rows)


def smooth_prior() -> str:
    rows = [
        [
            f"{row['length']:g} px",
            short(f"{row['level']:g}"),
            *(short(row[key], 3) for key in ("smooth", "given", "box")),
        ]
        for row in result("smooth_prior")["rows"]
    ]
    return lines(["correlation length", "sigma", "`smooth`", "length and deviation given", "`box`"], rows)


def solve_time() -> str:
    found, rows = result("solve_time")["rows"], []
    for version in dict.fromkeys(row["version"] for row in found):
        each = [row for row in found if row["version"] == version]
        seconds, networks = (float(np.mean([row[key] for row in each])) for key in ("seconds", "networks"))
        outside = f"{100 * (1 - networks / seconds):.0f} %"
        rows.append([version, each[0]["precision"], f"{seconds:.1f}", outside, mean(each, "psnr_registered", 1)])
    return lines(["version", "precision", "seconds", "outside the networks", "PSNR, registered"], rows)


def photographs() -> str:
    rows = result("photographs_256")["rows"]
    found = []
    for name, told in (
        ("measured", "measured"),
        ("old", "6469f3f, blind"),
        ("before", "6d5e966, blind"),
        ("one", "79bcc06, blind"),
        ("new", "blind"),
        ("known", "true kernel"),
    ):
        worse = sum(row[name] < row["measured"] - 0.2 for row in rows)
        within = sum(row[name] > row["known"] - solved_photographs.TWICE for row in rows)
        found.append([told, mean(rows, name, 2), str(worse), str(within)])
    return lines(
        ["", "PSNR, registered", "worse than measured", "within twice the squared error with the true kernel"], found
    )


TABLES: dict[str, Callable[[], str]] = {
    "photographs": photographs,
    "solve time": solve_time,
    "blind deblurring": blind_deblurring,
    "turbulence": turbulence,
    "bursts": bursts,
    "known kernel": known_kernel,
    "linear light": linear_light,
    "denoising": denoising,
    "kernel prior": kernel_prior,
    "smooth prior": smooth_prior,
    "shake": shake,
    "verdict": verdict,
    "example plugins": example_plugins,
}


def filled(page: str) -> str:
    """A page with its tables and figures as the files have them."""
    page = re.sub(
        r"(<!-- table ([\w ]+) -->\n).*?(?=<!-- end of table -->)",
        lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n",
        page,
        flags=re.DOTALL,
    )
    return FIGURE.sub(lambda match: f"{FIGURES[match[3]]}{match[2]}", page)


def main() -> None:
    """Write every page anew."""
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


FIGURES = figures()
if __name__ == "__main__":
    main()
