"""Grey photographs as those with measured kernels are: 255x255 pixels, shaken by 13 to 27, with little noise.

    python benchmarks/grey_shakes.py --pictures bsds500/val --start 100 --stop 124 --out results/grey_shakes.json

Each is cut from a larger photograph, blurred by a kernel of a hand-held camera that turns by `ROTATION` radians a pixel
of shift, and rounded to 8 bits. A row a picture: PSNR of the measurement, of the blind result and of that with the true
kernel, each registered to the truth within 8 px; what the blind one is said to be right with; seconds of the processor
on one core. `--draws 1` makes a single draw of each, whatever is said of it. An index has its kernel whatever the
pictures are: those of 0 to 23 have been tuned on, with pictures of bsds500/train.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SIDES = (13, 15, 17, 19, 21, 23, 23, 27)
FRAME = 255
ROTATION = 0.0001
NOISE = 0.006


def photograph(path: Path, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """A measurement and its truth, (1, H, W), and the kernel of the middle of the frame, (1, h, w)."""
    from ipt.images import files
    from ipt.images.fit import as_colour
    from ipt.operators.blur.kernels import ShakeKernels
    from ipt.simulate.camera import turned

    side, rng = SIDES[index % len(SIDES)], np.random.default_rng([55, index])
    kernel = ShakeKernels(extent=(0.8 * side, side)).sample([index + 900], (1, side, side))[0]
    grey = as_colour(files.read(path).pixels.clamp(0, 1), 3).mean(0, keepdim=True)
    top, left = (int(rng.integers(0, length - FRAME - side + 2)) for length in grey.shape[1:])
    picture = grey[:, top : top + FRAME + side - 1, left : left + FRAME + side - 1]
    before, angle = side - 1 - side // 2, rng.uniform(0, 2 * np.pi)
    blurred = turned(picture, kernel, ROTATION, np.array([np.sin(angle), np.cos(angle)]))
    noisy = blurred + NOISE * torch.from_numpy(rng.normal(size=blurred.shape)).float()
    measurement = (255 * noisy.clamp(0, 1)).round() / 255
    return measurement, picture[:, before : before + FRAME, before : before + FRAME], kernel


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--stop", type=int, default=24)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    import ipt
    from ipt.images import files
    from ipt.solve import metrics

    torch.set_num_threads(1)
    paths, rows = files.inputs(options.pictures), []

    def psnr(found: Tensor, truth: Tensor) -> float:
        scores = metrics.against_reference(found.reshape(truth.shape).clamp(0, 1), truth, max_shift=8)
        return round(scores["psnr_registered"], 2)

    for index in range(options.start, options.stop):
        path = paths[(13 * index + 5) % len(paths)]
        measurement, truth, kernel = photograph(path, index)
        row = {"picture": path.stem, "side": SIDES[index % len(SIDES)], "measured": psnr(measurement, truth)}
        began = time.process_time()
        result = ipt.restore(measurement, prior="natural", doubtful="show", effort=options.draws, name=str(index))
        row["seconds"] = round(time.process_time() - began, 1)
        row["blind"], row["likely"] = psnr(result.picture, truth), round(result.probability or 0.0, 3)
        known = ipt.restore(measurement, prior="natural", known={"kernel": kernel}, name=str(index))
        row["known"] = psnr(known.picture, truth)
        rows.append(row)
        print(index, row, flush=True)
        options.out.write_text(json.dumps({"pictures": str(options.pictures), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
