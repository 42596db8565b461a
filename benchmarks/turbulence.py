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
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from blind_deblur import faces

KERNEL, NOISE = 16, 0.01


def solve(options: argparse.Namespace) -> dict:
    import ipt
    from ipt.core.randomness import image_seed
    from ipt.operators.frames import Frames
    from ipt.operators.kernels import GaussianKernels
    from ipt.operators.turbulence import Turbulence
    from ipt.plugins.building import build_component
    from ipt.runs import metrics

    torch.set_num_threads(options.threads)
    clean = faces(options.faces, options.count)
    count, frames, size = options.count, options.frames, clean.shape[-1]
    seeds = [1000 + i for i in range(count * frames)]
    operator = Turbulence(KERNEL, "circular")
    kernel = GaussianKernels((1.0, 1.0), (1.0, 1.0)).sample(seeds, (1, KERNEL, KERNEL))
    kernel = kernel.reshape(count, frames, KERNEL, KERNEL)
    tilt = build_component("generator", f"tilt-{options.fields}").sample(seeds, (2, size, size))
    tilt = tilt.reshape(count, 2 * frames, size, size)
    made = Frames(operator, frames)
    measured = made.forward(clean, kernel=kernel, tilt=tilt)
    measured = measured + NOISE * torch.randn(measured.shape, generator=torch.Generator().manual_seed(5))

    known = {"all": (), "blur": ("tilt",), "image": ("kernel", "tilt")}[options.solve]
    settings = {"operator.kernel_size": KERNEL, "operator.border": "circular"}
    if options.told and "tilt" not in known:
        settings["tilt.generator"] = f"tilt-{options.fields}"
    solver = ipt.build(
        operator="turbulence", prior=options.prior, guidance=options.method, known=known, settings=settings,
        steps=options.steps, precision=options.precision,
    )  # fmt: skip
    solver = replace(solver, operator=Frames(solver.operator, frames))
    values = {"kernel": kernel, "tilt": torch.zeros_like(tilt) if options.solve == "blur" else tilt}
    pictures, found = [], []
    began = time.perf_counter()
    for start in range(0, count, options.batch):
        part = slice(start, start + options.batch)
        draws = [image_seed(options.seed, f"face{i}") for i in range(start, min(start + options.batch, count))]
        given = {name: values[name][part] for name in known}
        solution = solver.solve(measured[part], NOISE, known=given, seeds=draws)
        pictures.append(solution.image)
        found.append({**given, **solution.parameters})
        print(f"{start + len(draws)} of {count} after {time.perf_counter() - began:.0f} s", flush=True)
    seconds = time.perf_counter() - began
    image = torch.cat(pictures)
    kernels, tilts = (torch.cat([values[name] for values in found]) for name in ("kernel", "tilt"))
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
    return {"options": vars(options), "seconds": seconds, "calls": dict(solution.calls), "rows": rows}


def table(paths: list[str]) -> None:
    columns = ("psnr", "psnr_registered", "epe", "epe_zero", "epe_registered", "epe_registered_zero", "mnc")
    print(f"| method | solved for | fields | frames | steps | faces | {' | '.join(columns)} | measurement | seconds |")
    print("|---" * (len(columns) + 8) + "|")
    for path in paths:
        result = json.loads(Path(path).read_text())
        options, rows = result["options"], result["rows"]
        told = ", told" if options["told"] else ""
        cells = [options["method"] + told, options["solve"], options["fields"], options["frames"]]
        cells += [options["steps"] or "usual", len(rows)]
        for key in columns:
            values = np.array([row[key] for row in rows])
            draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
            low, high = np.percentile(draws, [2.5, 97.5])
            digits = 2 if key.startswith("psnr") else 3
            interval = "" if key.endswith("zero") else f" ({low:.{digits}f}..{high:.{digits}f})"
            cells.append(f"{values.mean():.{digits}f}{interval}")
        cells.append(f"{np.mean([row['psnr_measurement'] for row in rows]):.2f}")
        cells.append(f"{result['seconds']:.0f}")
        print("| " + " | ".join(map(str, cells)) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces")
    parser.add_argument("--method", default="proximal", choices=["proximal", "dps"])
    parser.add_argument("--solve", default="all", choices=["all", "blur", "image"])
    parser.add_argument("--fields", default="patches", choices=["patches", "kolmogorov"])
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--told", action="store_true")
    parser.add_argument("--prior", default="faces")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out")
    parser.add_argument("--pictures", help="a .npz for the pictures themselves")
    parser.add_argument("--table", nargs="+")
    options = parser.parse_args()
    if options.table:
        table(options.table)
        return
    result = solve(options)
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    Path(options.out).write_text(json.dumps(result, indent=1))
    table([options.out])


if __name__ == "__main__":
    main()
