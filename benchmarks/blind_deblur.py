"""Blind deblurring of 50 validation faces: `proximal` against `dps`, with the same priors, on the same measurements.

    python benchmarks/blind_deblur.py --faces celeba128_jpegpack.npz --method proximal --border circular
        --out results/a.json
    python benchmarks/blind_deblur.py --table results/*.json

Faces: 50 evenly spaced ones of the first 500 (held out of training), reduced to 64x64. Kernels: `motion` or `gaussian`
on 16x16 pixels, seeds 1000..; noise .01 on 0..1. Measurements are made with --made-with as border; the solver is told
--border. Everything is fixed by seed. Files of results hold one row an image, so that figures can be compared image by
image.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path

import numpy as np
import torch

SIZE, KERNEL, NOISE = 64, 16, 0.01


def faces(path: str, count: int) -> torch.Tensor:
    from PIL import Image

    pack = np.load(path)
    buffer, offsets = pack["buf"], pack["off"]
    pictures = []
    for index in np.linspace(0, 499, count).astype(int):
        picture = Image.open(io.BytesIO(buffer[offsets[index] : offsets[index + 1]].tobytes())).convert("RGB").reduce(2)
        pictures.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255)
    return torch.stack(pictures)


def kernels(kind: str, count: int) -> torch.Tensor:
    from ipt.operators.kernels import GaussianKernels, MotionKernels

    generator = MotionKernels((0.2, 1.0), (8, 16)) if kind == "motion" else GaussianKernels((1.0, 3.0))
    return generator.sample([1000 + i for i in range(count)], (1, KERNEL, KERNEL))


def solve(options: argparse.Namespace) -> dict:
    import ipt
    from ipt.core.randomness import image_seed
    from ipt.operators.blur import Blur
    from ipt.runs import metrics

    torch.set_num_threads(options.threads)
    clean, kernel = faces(options.faces, options.count), kernels(options.kernels, options.count)
    numbers = torch.Generator().manual_seed(5)
    measured = Blur(KERNEL, options.made_with).forward(clean, kernel)
    measured = measured + NOISE * torch.randn(measured.shape, generator=numbers)
    known = ("kernel",) if options.true_kernel else ()
    settings = {"operator.kernel_size": KERNEL, "operator.border": options.border}
    solver = ipt.build(
        operator="blur", prior=options.prior, guidance=options.method, known=known, settings=settings,
        steps=options.steps, precision=options.precision,
    )  # fmt: skip
    rows, pictures, found = [], [], []
    began = time.perf_counter()
    for start in range(0, options.count, options.batch):
        part = slice(start, start + options.batch)
        seeds = [image_seed(options.seed, f"face{i}") for i in range(start, min(start + options.batch, options.count))]
        given = {"kernel": kernel[part]} if options.true_kernel else None
        solution = solver.solve(measured[part], NOISE, known=given, seeds=seeds)
        pictures.append(solution.image)
        found.append(solution.parameters["kernel"])
        print(f"{start + len(seeds)} of {options.count} after {time.perf_counter() - began:.0f} s", flush=True)
    seconds = time.perf_counter() - began
    for index, (image, estimate) in enumerate(zip(torch.cat(pictures), torch.cat(found), strict=True)):
        row = metrics.against_reference(image, clean[index], max_shift=4)
        row["mnc"] = float(metrics.kernel_mnc(estimate, kernel[index]))
        row["psnr_measurement"] = float(metrics.psnr(measured[index], clean[index]))
        rows.append(row)
    if options.pictures:
        np.savez_compressed(
            options.pictures,
            clean=clean,
            kernel=kernel,
            measured=measured,
            image=torch.cat(pictures),
            found=torch.cat(found),
        )
    return {"options": vars(options), "seconds": seconds, "calls": dict(solution.calls), "rows": rows}


def table(paths: list[str]) -> None:
    print("| method | kernels | made with | told | steps | PSNR | cost of drift | MNC | median MNC | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for path in paths:
        result = json.loads(Path(path).read_text())
        options = result["options"]
        name = options["method"] + (", true kernel" if options["true_kernel"] else "")
        columns = []
        for key in ("psnr", "drift_cost", "mnc"):
            values = np.array([row[key] for row in result["rows"]])
            draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
            low, high = np.percentile(draws, [2.5, 97.5])
            digits = 3 if key == "mnc" else 2
            columns.append(f"{values.mean():.{digits}f} ({low:.{digits}f}..{high:.{digits}f})")
        median = np.median([row["mnc"] for row in result["rows"]])
        print(
            f"| {name} | {options['kernels']} | {options['made_with']} | {options['border']} | {options['steps']} | "
            f"{' | '.join(columns)} | {median:.3f} | {result['seconds']:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces")
    parser.add_argument("--method", default="proximal", choices=["proximal", "dps"])
    parser.add_argument("--kernels", default="motion", choices=["motion", "gaussian"])
    parser.add_argument("--made-with", default="circular")
    parser.add_argument("--border", default="circular")
    parser.add_argument("--true-kernel", action="store_true")
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
