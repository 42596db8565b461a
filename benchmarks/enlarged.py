"""Photographs of several megapixels with wide and narrow blurs: the kernel found in a region, and the usual way.

    python benchmarks/enlarged.py --pictures FOLDER --out results/enlarged.json

Whole pictures, which must have more than 2.5 megapixels, are blurred by kernels of `SIDES` pixels while the camera
turns by `ROTATIONS` radians a pixel of shift, with noise and JPEG. `auto` begins at half the sides (or a quarter, ...)
and is enlarged, unless a region is likelier, or the blur is narrow and a region is likely right. A row a picture: PSNR
of the measurement and of both results, which is the mean over nine squares of `CROP` pixels, each registered to the
truth within 16 px; what each is said to be right with; how often `auto` is enlarged (1: it was solved from the region);
seconds of the processor on one core.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SIDES = (41, 81, 15, 61, 101, 25)
ROTATIONS = (0.0, 0.00007, 0.0001, 0.00003)
CROP = 320
PLACES = (0.2, 0.5, 0.8)
NOISE = 0.004


def photograph(path: Path, index: int) -> tuple[Tensor, Tensor]:
    """A measurement and its truth, (3, H, W)."""
    from ipt.images import files
    from ipt.images.fit import as_colour
    from ipt.operators.blur.kernels import MotionKernels, ShakeKernels
    from ipt.simulate.camera import Camera, rounded, turned

    side, rng = SIDES[index % len(SIDES)], np.random.default_rng([211, index])
    extent = (0.8 * side, float(side))
    generator = MotionKernels((0.2, 1.0), extent) if index % 2 else ShakeKernels(extent=extent)
    kernel = generator.sample([index], (1, side, side))[0]
    picture = as_colour(files.read(path).pixels.clamp(0, 1), 3)
    before, angle = side - 1 - side // 2, rng.uniform(0, 2 * np.pi)
    height, width = (length - side + 1 for length in picture.shape[1:])
    blurred = turned(picture, kernel, ROTATIONS[index % 4], np.array([np.sin(angle), np.cos(angle)]))
    noisy = blurred + NOISE * torch.from_numpy(rng.normal(size=blurred.shape)).float()
    measurement = rounded(Camera(jpeg=92).stored(noisy))
    return measurement, picture[:, before : before + height, before : before + width]


def psnr(found: Tensor, truth: Tensor) -> float:
    """The mean over nine squares, each registered: a camera that turns leaves the middle of its path open."""
    from ipt.solve import metrics

    each = []
    for down, across in product(PLACES, PLACES):
        top, left = int(down * (truth.shape[1] - CROP)), int(across * (truth.shape[2] - CROP))
        place = (slice(None), slice(top, top + CROP), slice(left, left + CROP))
        scores = metrics.against_reference(found[place].clamp(0, 1), truth[place], max_shift=16)
        each.append(scores["psnr_registered"])
    return round(float(np.mean(each)), 2)


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--stop", type=int)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    import ipt
    from ipt.images import files
    from ipt.solve.region import textured
    from ipt.solve.task import CHOSEN_SIDE

    torch.set_num_threads(1)
    paths, rows = files.inputs(options.pictures), []
    for index in range(options.start, len(paths) if options.stop is None else options.stop):
        measured, truth = photograph(paths[index], index)
        row = {"picture": paths[index].stem, "side": SIDES[index % len(SIDES)], "rotation": ROTATIONS[index % 4]}
        row["measured"] = psnr(measured, truth)
        for way, region in (("region", textured(measured, None, CHOSEN_SIDE)), ("auto", "auto")):
            began = time.process_time()
            result = ipt.restore(measured, prior="natural", region=region, doubtful="show", name=str(index))
            row[way], row[f"{way} likely"] = psnr(result.picture, truth), round(result.probability or 0.0, 3)
            row[f"{way} s"] = round(time.process_time() - began, 1)
        row["enlarged"] = result.details.record["enlarged"]
        rows.append(row)
        print(index, row, flush=True)
        options.out.write_text(json.dumps({"pictures": str(options.pictures), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
