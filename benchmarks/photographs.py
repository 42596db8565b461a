"""Blind deblurring of photographs as cameras take them: real surroundings, a camera that turns, 8 bits, JPEG.

    python benchmarks/photographs.py --pictures bsds500/val --count 40 --out results/photographs.json --sheet a.png
    python benchmarks/photographs.py --pictures bsds500/val --count 40 --known --out results/photographs_known.json

Squares are cut from evenly spaced pictures after they are blurred, so that what lies outside the frame is real. The
kernels (9 to 31 px; five of eight camera motions, a line, a disc, a Gaussian) act about poses that turn the camera as
well, by up to .003 rad a pixel of shift in a third of the pictures, .0015 in another: one kernel for the whole frame
then leaves .001 to .012 unexplained. Noise .006, clipped, rounded to 8 bits, and two thirds saved as JPEG of quality 95
or 90. Everything is fixed by the index of a picture. The solver is told nothing (--noise: this level). --known: the
kernel. --save: the data as .npz, for other solvers. A row an image, with the result registered to the truth, for a
picture and a kernel can be shifted against each other without any change in the measurement.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ipt.operators.blur.kernels import DefocusKernels, GaussianKernels, MotionKernels

KINDS = ("motion", "motion", "line", "motion", "disc", "motion", "gaussian", "motion")
SIDES = (9, 13, 17, 21, 25, 31)
ROTATIONS = (0.0, 0.0015, 0.003)
QUALITIES = (0, 95, 90)
NOISE = 0.006


@dataclass(frozen=True)
class Photograph:
    """measurement, truth: (3, side, side) in 0..1. kernel: (1, h, h). kind: of the kernel."""

    measurement: Tensor
    truth: Tensor
    kernel: Tensor
    kind: str


def draw_kernel(index: int) -> tuple[Tensor, str]:
    """The kernel of a picture, (1, h, h), and its kind."""
    side, kind, seed = SIDES[index % len(SIDES)], KINDS[index % len(KINDS)], 500 + index
    shape = (1, side, side)
    if kind == "motion":
        return MotionKernels((0.2, 1.0), (0.75 * side, side)).sample([seed], shape)[0], kind
    if kind == "line":
        return MotionKernels(0.0, 0.95 * side).sample([seed], shape)[0], kind
    if kind == "disc":
        return DefocusKernels((max(1.5, side / 5), max(1.6, side / 4))).sample([seed], shape)[0], kind
    return GaussianKernels((side / 8, side / 7)).sample([seed], shape)[0], kind


def exposed(image: Tensor, kernel: Tensor, rotation: float, direction: np.ndarray) -> Tensor:
    """An image (3, H, W) seen by a camera that shifts as the kernel says, and turns with it: by `rotation` rad about
    the middle for each pixel of shift along a direction. Cut to what depends on nothing outside."""
    height, width, side = *image.shape[-2:], kernel.shape[-1]
    rows, columns = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    middle = torch.tensor([(height - 1) / 2, (width - 1) / 2])
    total = torch.zeros_like(image)
    for row, column in (kernel[0] > 0.01 * kernel.max()).nonzero().tolist():
        down, right = row - side // 2, column - side // 2
        angle = rotation * float(direction @ (down, right))
        y, x = rows - middle[0], columns - middle[1]
        there = torch.stack([x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)], -1)
        grid = (there + middle.flip(0) - torch.tensor([right, down])) / middle.flip(0) - 1
        seen = F.grid_sample(image[None], grid[None], "bicubic", "reflection", align_corners=True)[0]
        total += kernel[0, row, column] * seen
    weight = kernel[kernel > 0.01 * kernel.max()].sum()
    before, after = side - 1 - side // 2, side // 2
    return (total / weight)[:, before : height - after, before : width - after]


def photograph(files: list[Path], index: int, count: int, side: int) -> Photograph:
    """Picture `index` of `count`."""
    rng = np.random.default_rng(1000 + index)
    kernel, kind = draw_kernel(index)
    need, before = side + kernel.shape[-1] - 1, kernel.shape[-1] - 1 - kernel.shape[-1] // 2
    picture = np.array(Image.open(files[index * len(files) // count]).convert("RGB"))
    if min(picture.shape[:2]) < need:
        raise SystemExit(f"{files[index]} is too small for {need} x {need} px; give a smaller --side")
    top, left = (picture.shape[0] - need) // 2, int(rng.integers(0, picture.shape[1] - need + 1))
    image = torch.from_numpy(picture[top : top + need, left : left + need]).permute(2, 0, 1).float() / 255
    direction = rng.normal(size=2)
    blurred = exposed(image, kernel, ROTATIONS[index % 3], direction / np.linalg.norm(direction))
    noisy = (blurred + NOISE * torch.from_numpy(rng.normal(size=blurred.shape)).float()).clamp(0, 1)
    stored = (255 * noisy).round().byte().permute(1, 2, 0).numpy()
    if quality := QUALITIES[index // 2 % 3]:
        file = io.BytesIO()
        Image.fromarray(stored).save(file, "JPEG", quality=quality, subsampling=0)
        stored = np.array(Image.open(file))
    measurement = torch.from_numpy(stored).permute(2, 0, 1).float() / 255
    return Photograph(measurement, image[:, before : before + side, before : before + side], kernel, kind)


def sheet(columns: list[list[Tensor]]) -> Image.Image:
    """A column an image: pictures (3, S, S), and kernels enlarged to their size."""
    side = columns[0][0].shape[-1]
    drawn = []
    for column in columns:
        shown = [
            F.interpolate((part / part.max())[None], size=(side, side), mode="nearest")[0].expand(3, -1, -1)
            if len(part) == 1
            else part
            for part in column
        ]
        drawn.append(torch.cat([part.clamp(0, 1) for part in shown], dim=1))
    return Image.fromarray((255 * torch.cat(drawn, dim=2)).round().byte().permute(1, 2, 0).numpy())


def main() -> None:
    import ipt
    from ipt.images.files import Picture
    from ipt.solve import metrics
    from ipt.solve.batches import BatchSizer, solve_tasks
    from ipt.solve.prepare import ImageTask, prepare

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--stop", type=int)
    parser.add_argument("--known", action="store_true")
    parser.add_argument("--prior", default="natural")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--noise", type=float)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted([*options.pictures.glob("*.jpg"), *options.pictures.glob("*.png")])
    indices = range(options.start, options.count if options.stop is None else options.stop)
    taken = {index: photograph(files, index, options.count, options.side) for index in indices}
    if options.save:
        parts = {f"{name}{index}": getattr(one, name).numpy() for index, one in taken.items() for name in
                 ("measurement", "truth", "kernel")}  # fmt: skip
        np.savez_compressed(options.save, **parts)
    solver = ipt.build(
        operator="blur", prior=options.prior, known=("kernel",) if options.known else (), steps=options.steps,
        settings=dict(one.split("=", 1) for one in options.set), precision=options.precision,
    )  # fmt: skip
    rows, columns = [], []
    for index, one in taken.items():
        began = time.perf_counter()
        known = {"kernel": one.kernel} if options.known else {}
        task = ImageTask(Picture(one.measurement), f"photograph{index}", options.noise, known=known)
        prepared = prepare(solver.solver, task)
        (solution,) = solve_tasks([prepared.sampling], BatchSizer(1))
        found = solution.parameters.get("kernel", one.kernel[None])[0]
        row = {
            "index": index,
            "kind": one.kind,
            "side": one.kernel.shape[-1],
            "psnr_measurement": float(metrics.psnr(one.measurement, one.truth)),
            **metrics.against_reference(solution.image[0].clamp(0, 1), one.truth, max_shift=4),
            "mnc": float(metrics.kernel_mnc(found, one.kernel)),
            "residual": float(solution.residual[0]) / prepared.noise,
            "seconds": time.perf_counter() - began,
        }
        rows.append(row)
        columns.append([one.truth, one.measurement, solution.image[0], one.kernel, found])
        print({name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}, flush=True)
    told = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"options": told, "rows": rows}, indent=1))
    for name in ("psnr_measurement", "psnr", "psnr_registered", "mnc", "residual", "seconds"):
        print(f"{name}: {np.mean([row[name] for row in rows]):.3f}")
    worse = sum(row["psnr_registered"] < row["psnr_measurement"] - 0.2 for row in rows)
    print(f"worse than measured by more than .2 dB: {worse} of {len(rows)}")
    if options.sheet:
        sheet(columns).save(options.sheet)


if __name__ == "__main__":
    main()
