"""Large photographs blurred by a turning camera: the kernel found in a region, and in the picture at half its sides.

    python benchmarks/half_size.py --pictures FOLDER --count 20 --out results/half_size.json

Squares of 640x640 pixels are cut from the pictures, which must be larger, after they are blurred by kernels of
`SIDES` pixels while the camera turns by `ROTATIONS` radians a pixel of shift; every second one is saved as JPEG. A row
a picture: PSNR, registered to the truth within 8 px, of the measurement and of both results, what each is said to be
right with, and seconds of the processor on one core. `auto` is the result that `--region auto` takes of the two.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SIDE = 640
SIDES = (13, 21, 31, 45, 61)
ROTATIONS = (0.0, 0.0002, 0.0005)
QUALITIES = (None, 92)
NOISE = 0.004


def photograph(paths: list[Path], index: int) -> tuple[Tensor, Tensor]:
    """A measurement and its truth, (3, SIDE, SIDE)."""
    from ipt.images import files
    from ipt.images.fit import as_colour
    from ipt.operators.blur.kernels import MotionKernels, ShakeKernels
    from ipt.simulate.camera import Camera, rounded, turned

    side, rng = SIDES[index % len(SIDES)], np.random.default_rng([79, index])
    extent = (0.8 * side, float(side))
    generator = MotionKernels((0.2, 1.0), extent) if index // len(SIDES) % 2 == 0 else ShakeKernels(extent=extent)
    kernel = generator.sample([index], (1, side, side))[0]
    picture = as_colour(files.read(paths[index * 7 % len(paths)]).pixels.clamp(0, 1), 3)
    need, before = SIDE + side - 1, side - 1 - side // 2
    top, left = (int(rng.integers(0, whole - need + 1)) for whole in picture.shape[1:])
    image, angle = picture[:, top : top + need, left : left + need], rng.uniform(0, 2 * np.pi)
    blurred = turned(image, kernel, ROTATIONS[index % 3], np.array([np.sin(angle), np.cos(angle)]))
    noisy = blurred + NOISE * torch.from_numpy(rng.normal(size=blurred.shape)).float()
    measurement = rounded(Camera(jpeg=QUALITIES[index % 2]).stored(noisy))
    return measurement, image[:, before : before + SIDE, before : before + SIDE]


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    import ipt
    from ipt.images import files
    from ipt.solve import metrics
    from ipt.solve.region import textured
    from ipt.solve.task import CHOSEN_SIDE
    from ipt.solve.verdict import SURE

    torch.set_num_threads(1)
    paths, rows = files.inputs(options.pictures), []
    for index in range(options.start, options.start + options.count):
        measured, truth = photograph(paths, index)

        def psnr(found: Tensor, truth: Tensor = truth) -> float:
            return round(metrics.against_reference(found.clamp(0, 1), truth, max_shift=8)["psnr_registered"], 2)

        row = {"side": SIDES[index % len(SIDES)], "rotation": ROTATIONS[index % 3], "measured": psnr(measured)}
        for way, region in (("region", textured(measured, None, CHOSEN_SIDE)), ("half", "half")):
            began = time.process_time()
            result = ipt.restore(measured, prior="natural", region=region, doubtful="show", name=str(index))
            row[way], row[f"{way} likely"] = psnr(result.picture), round(result.probability or 0.0, 3)
            row[f"{way} s"] = round(time.process_time() - began, 1)
        sure = row["half likely"] >= SURE
        chosen = "half" if sure or row["half likely"] > row["region likely"] else "region"
        row["auto"], row["auto likely"] = row[chosen], row[f"{chosen} likely"]
        rows.append(row)
        print(index, row, flush=True)
        options.out.write_text(json.dumps({"pictures": str(options.pictures), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
