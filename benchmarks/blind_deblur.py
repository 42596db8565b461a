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
from collections.abc import Iterable

import numpy as np
import torch
from common import faces, interval, noisy, parser_of, run, solved

KERNEL = 16


def kernels(kind: str, count: int) -> torch.Tensor:
    """Of a kind, (count, 1, KERNEL, KERNEL), always the same."""
    from ipt.operators.blur.kernels import GaussianKernels, MotionKernels

    generator = MotionKernels((0.2, 1.0), (8, 16)) if kind == "motion" else GaussianKernels((1.0, 3.0))
    return generator.sample([1000 + i for i in range(count)], (1, KERNEL, KERNEL))


def solve(options: argparse.Namespace) -> dict:
    """A row a face: scores of the picture and of the kernel."""
    import ipt
    from ipt.operators.blur import Blur
    from ipt.solve import metrics

    clean, kernel = faces(options.faces, options.count), kernels(options.kernels, options.count)
    measured = noisy(Blur(KERNEL, options.made_with).forward(clean, kernel))
    known = {"kernel": kernel} if options.true_kernel else {}
    settings = {"operator.kernel_size": KERNEL, "operator.border": options.border}
    solver = ipt.build(
        operator="blur", prior=options.prior, guidance=options.method, known=tuple(known), settings=settings,
        steps=options.steps, precision=options.precision,
    )  # fmt: skip
    found, cost = solved(solver, measured, known, options)
    rows = []
    for index, (image, estimate) in enumerate(zip(found["image"], found["kernel"], strict=True)):
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
            image=found["image"],
            found=found["kernel"],
        )
    return {**cost, "rows": rows}


def table(results: Iterable[dict]) -> None:
    """Of results, with intervals."""
    print("| method | kernels | made with | told | steps | PSNR | cost of drift | MNC | median MNC | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for result in results:
        options, rows = result["options"], result["rows"]
        name = options["method"] + (", true kernel" if options["true_kernel"] else "")
        figures = (("psnr", 2), ("drift_cost", 2), ("mnc", 3))
        columns = [" ".join(interval([row[key] for row in rows], digits)) for key, digits in figures]
        median = np.median([row["mnc"] for row in rows])
        print(
            f"| {name} | {options['kernels']} | {options['made_with']} | {options['border']} | {options['steps']} | "
            f"{' | '.join(columns)} | {median:.3f} | {result['seconds']:.0f} |"
        )


def main() -> None:
    """Solve, or show results."""
    parser = parser_of(__doc__)
    parser.add_argument("--kernels", default="motion", choices=["motion", "gaussian"])
    parser.add_argument("--made-with", default="circular")
    parser.add_argument("--border", default="circular")
    parser.add_argument("--true-kernel", action="store_true")
    run(parser, solve, table)


if __name__ == "__main__":
    main()
