"""Imaging through turbulence on validation faces: `proximal`, `dps`, and what one has without a tilt.

    python benchmarks/turbulence.py --faces celeba128_jpegpack.npz --method proximal --out results/a.json
    python benchmarks/turbulence.py --faces celeba128_jpegpack.npz --fields kolmogorov --frames 8 --out results/b.json
    python benchmarks/turbulence.py --table results/*.json

Faces: evenly spaced ones of the first 500 (held out of training), reduced to 64x64. Tilts: `patches`, the published
ones, or `kolmogorov` with the generator's defaults (2 for aperture over Fried's parameter). Kernels: round Gaussians of
1 px on 16x16 pixels. Noise .01 on 0..1. The border is circular, and known. --solve says what is unknown: `all`; `blur`
(the tilt is ignored); `image` (true kernels and tilts). --told: the tilt's prior knows the generator. Everything is
fixed by seed. Files of results hold one row an image.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from common import faces, interval, noisy, parser_of, run, solved

KERNEL = 16


def solve(options: argparse.Namespace) -> dict:
    import ipt
    from ipt.operators.blur.kernels import GaussianKernels
    from ipt.operators.frames import Frames
    from ipt.operators.turbulence import Turbulence
    from ipt.plugins.building import build_component
    from ipt.solve import metrics

    clean = faces(options.faces, options.count)
    count, frames, size = options.count, options.frames, clean.shape[-1]
    seeds = [1000 + i for i in range(count * frames)]
    operator = Turbulence(KERNEL, "circular")
    kernel = GaussianKernels((1.0, 1.0), (1.0, 1.0)).sample(seeds, (1, KERNEL, KERNEL))
    kernel = kernel.reshape(count, frames, KERNEL, KERNEL)
    tilt = build_component("generator", f"tilt-{options.fields}").sample(seeds, (2, size, size))
    tilt = tilt.reshape(count, 2 * frames, size, size)
    made = Frames(operator, frames)
    measured = noisy(made.forward(clean, kernel=kernel, tilt=tilt))

    known = {"all": (), "blur": ("tilt",), "image": ("kernel", "tilt")}[options.solve]
    settings = {"operator.kernel_size": KERNEL, "operator.border": "circular"}
    if options.told and "tilt" not in known:
        settings["tilt.generator"] = f"tilt-{options.fields}"
    solver = ipt.build(
        operator="turbulence", prior=options.prior, guidance=options.method, known=known, settings=settings,
        steps=options.steps, precision=options.precision,
    )  # fmt: skip
    solver = ipt.Multiscale(replace(solver.solver, operator=Frames(solver.solver.operator, frames)))
    values = {"kernel": kernel, "tilt": torch.zeros_like(tilt) if options.solve == "blur" else tilt}
    found, cost = solved(solver, measured, {name: values[name] for name in known}, options)
    image, kernels, tilts = found["image"], found["kernel"], found["tilt"]
    rows = []
    for i in range(count):
        row = metrics.against_reference(image[i], clean[i], max_shift=4)
        row["psnr_measurement"] = metrics.psnr(measured[i, :3], clean[i])
        row["psnr_mean"] = metrics.psnr(measured[i].unflatten(0, (frames, 3)).mean(0), clean[i])
        fields = [(a, b) for a, b in zip(tilts[i].split(2), tilt[i].split(2), strict=True)]
        for name, free in (("epe", False), ("epe_registered", True)):
            row[name] = float(np.mean([metrics.endpoint_error(a, b, free) for a, b in fields]))
            row[f"{name}_zero"] = float(np.mean([metrics.endpoint_error(0 * b, b, free) for _, b in fields]))
        row["mnc"] = float(np.mean([metrics.kernel_mnc(a, b) for a, b in zip(kernels[i], kernel[i], strict=True)]))
        rows.append(row)
    if options.pictures:
        np.savez_compressed(
            options.pictures, clean=clean, measured=measured, image=image, tilt=tilt, found=tilts, kernel=kernels
        )
    return {**cost, "rows": rows}


def table(results: Iterable[dict]) -> None:
    columns = ("psnr", "psnr_registered", "epe", "epe_zero", "epe_registered", "epe_registered_zero", "mnc")
    print(f"| method | solved for | fields | frames | steps | faces | {' | '.join(columns)} | measurement | seconds |")
    print("|---" * (len(columns) + 8) + "|")
    for result in results:
        options, rows = result["options"], result["rows"]
        told = ", told" if options["told"] else ""
        cells = [options["method"] + told, options["solve"], options["fields"], options["frames"]]
        cells += [options["steps"] or "usual", len(rows)]
        for key in columns:
            mean, spread = interval([row[key] for row in rows], 2 if key.startswith("psnr") else 3)
            cells.append(mean if key.endswith("zero") else f"{mean} {spread}")
        cells.append(f"{np.mean([row['psnr_measurement'] for row in rows]):.2f}")
        cells.append(f"{result['seconds']:.0f}")
        print("| " + " | ".join(map(str, cells)) + " |")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--solve", default="all", choices=["all", "blur", "image"])
    parser.add_argument("--fields", default="patches", choices=["patches", "kolmogorov"])
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--told", action="store_true")
    run(parser, solve, table)


if __name__ == "__main__":
    main()
