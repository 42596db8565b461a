"""What the prior `kernel` leaves of a kernel: negative mass, a shifted centre, and how near it comes, by noise level.

    python benchmarks/kernel_prior.py --out results/kernel_prior.json

Kernels of the generators at extents that none of the prior's usual sizes has (5, 11, 20, 40 and 60 px, on 16, 16, 24,
48 and 64 px), seeds from 10,000 up. Negative mass: the sum of negative entries over that of the positive ones, before
anything is cut off. Shift: from the true kernel's centroid to that of what is positive. MNC with the true kernel. Means
over the kernels.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

SIZES = {5: 16, 11: 16, 20: 24, 40: 48, 60: 64}
LEVELS = (0.05, 0.2, 0.5, 1.0, 2.0)


def main() -> None:
    from ipt.operators.blur.centring import off_centre
    from ipt.operators.blur.kernels import (
        BoxKernels,
        DefocusKernels,
        GaussianKernels,
        LineKernels,
        MotionKernels,
        ShakeKernels,
    )
    from ipt.priors.shipped import kernel as shipped
    from ipt.solve.metrics import kernel_mnc

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=16, help="kernels a generator and extent")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    prior, rows = shipped(), []
    for extent, side in SIZES.items():
        drawn = {
            "motion": MotionKernels(extent=(extent, extent)),
            "gaussian": GaussianKernels((extent / 6, extent / 6)),
            "defocus": DefocusKernels((extent / 2, extent / 2)),
            "shake": ShakeKernels(extent=(extent, extent)),
            "line": LineKernels((extent, extent), bent=0),
            "box": BoxKernels((extent, extent)),
        }
        for name, generator in drawn.items():
            true = generator.sample(range(10_000, 10_000 + options.count), (1, side, side))
            normalization = prior.normalization((1, side, side))
            normalised = normalization.normalized(true / true.amax((-3, -2, -1), keepdim=True))
            for sigma in LEVELS:
                numbers = torch.Generator().manual_seed(1)
                noisy = normalised + sigma * torch.randn(normalised.shape, generator=numbers)
                with torch.inference_mode():
                    found = normalization.physical(prior.denoise(noisy, sigma))
                positive = found.clamp(min=0)
                negative = -(found.clamp(max=0).sum((1, 2, 3)) / positive.sum((1, 2, 3)))
                shift = (off_centre(positive) - off_centre(true)).norm(dim=1)
                mnc = [float(kernel_mnc(one, other)) for one, other in zip(positive, true, strict=True)]
                row = {"extent": extent, "generator": name, "sigma": sigma, "negative": float(negative.mean())}
                rows.append({**row, "shift": float(shift.mean()), "mnc": sum(mnc) / len(mnc)})
    print("| sigma | negative mass | shift in pixels | MNC |\n|---|---|---|---|")
    for sigma in LEVELS:
        part = [row for row in rows if row["sigma"] == sigma]
        mean = {key: sum(row[key] for row in part) / len(part) for key in ("negative", "shift", "mnc")}
        print(f"| {sigma:g} | {mean['negative']:.4f} | {mean['shift']:.2f} | {mean['mnc']:.3f} |")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"count": options.count, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
