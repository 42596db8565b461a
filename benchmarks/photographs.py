"""Blind deblurring of photographs that were not trained on, with the prior `natural` or another.

    python benchmarks/photographs.py --pictures bsds500/val --side 128 --out results/photographs_128.json --sheet a.png
    python benchmarks/photographs.py --pictures faces/ --side 256 --kernel 48 --prior faces256 --out results/a.json

The central squares of evenly spaced pictures, reflected beyond their border, blurred by camera motions on 24x24 pixels
(--kernel) that reach over a third to two thirds of that (seeds 1000..), noise --noise on 0..1. The solver is told the
noise (or another, --told) and the kernel's size, nothing of the border. --known: the true kernel too. --set NAME=VALUE:
an option of the solver, as of `ipt solve`. Everything is fixed by seed; a row an image.
The sheet shows truth, measurement and result, and below the true kernel and the one found.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image


def squares(folder: Path, side: int, count: int) -> torch.Tensor:
    """(count, 3, side, side) in 0..1."""
    files = sorted([*folder.glob("*.jpg"), *folder.glob("*.png")])
    found = []
    for index in np.linspace(0, len(files) - 1, count).astype(int):
        picture = Image.open(files[index]).convert("RGB")
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        found.append(np.asarray(picture.crop((left, top, left + side, top + side))))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 255


def sheet(columns: list[list[torch.Tensor]]) -> Image.Image:
    """A column an image: pictures (3, S, S), and kernels enlarged to their size."""
    side = columns[0][0].shape[-1]
    rows = []
    for column in columns:
        shown = []
        for part in column:
            if len(part) == 1:
                large = F.interpolate((part / part.max())[None], size=(side // 2, side // 2), mode="nearest")[0]
                part = F.pad(large, (side // 4, side // 4, 0, 0), value=1.0).expand(3, -1, -1)
            shown.append(part.clamp(0, 1))
        rows.append(torch.cat(shown, dim=1))
    whole = torch.cat(rows, dim=2)
    return Image.fromarray((255 * whole).round().byte().permute(1, 2, 0).numpy())


def main() -> None:
    """Solve every picture, and print the means."""
    import ipt
    from ipt.linalg.random import image_seed
    from ipt.operators.blur import Blur
    from ipt.operators.kernels import MotionKernels
    from ipt.solve import metrics

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--kernel", type=int, default=24)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--known", action="store_true")
    parser.add_argument("--prior", default="natural")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--told", type=float)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    clean = squares(options.pictures, options.side, options.count)
    window, reach = (1, options.kernel, options.kernel), (options.kernel // 3, 2 * options.kernel // 3)
    kernel = MotionKernels((0.2, 1.0), reach).sample(range(1000, 1000 + options.count), window)
    measured = Blur(options.kernel, "reflect").forward(clean, kernel)
    measured = measured + options.noise * torch.randn(measured.shape, generator=torch.Generator().manual_seed(5))
    solver = ipt.build(
        operator="blur", prior=options.prior, known=("kernel",) if options.known else (), steps=options.steps,
        settings={"operator.kernel_size": options.kernel, **dict(one.split("=", 1) for one in options.set)},
        precision=options.precision,
    )  # fmt: skip
    told_noise = options.noise if options.told is None else options.told
    rows, columns = [], []
    for index in range(options.count):
        began = time.perf_counter()
        given = {"kernel": kernel[index : index + 1]} if options.known else None
        measurement = measured[index : index + 1]
        solution = solver.solve(measurement, told_noise, known=given, seeds=[image_seed(0, f"photograph{index}")])
        row = metrics.against_reference(solution.image[0], clean[index], max_shift=4)
        row["psnr_measurement"] = float(metrics.psnr(measured[index], clean[index]))
        row["residual"] = float(solution.residual[0])
        row["seconds"] = time.perf_counter() - began
        found = solution.parameters.get("kernel", kernel[index : index + 1])[0]
        row["mnc"] = float(metrics.kernel_mnc(found, kernel[index]))
        rows.append(row)
        columns.append([clean[index], measured[index], solution.image[0], kernel[index], found])
        print({name: round(value, 3) for name, value in row.items()}, flush=True)
    told = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"options": told, "rows": rows}, indent=1))
    for name in ("psnr_measurement", "psnr", "psnr_registered", "mnc", "residual", "seconds"):
        print(f"{name}: {np.mean([row[name] for row in rows]):.3f}")
    if options.sheet:
        sheet(columns).save(options.sheet)


if __name__ == "__main__":
    main()
