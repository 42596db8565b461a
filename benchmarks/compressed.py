"""Deblurring with the true kernel, of photographs that were saved as JPEG and of the same ones that were not.

    python benchmarks/compressed.py --pictures bsds500/train --count 8 --out results/compressed.json

Squares of 192x192 pixels are cut from random pictures after they are blurred by kernels of the protocol `photographs`.
They are saved in 8 bits with each of `FILES`. The noise level is not told. A row a picture and a file: PSNR of the
measurement and of the result, registered to the truth within 4 px.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SIDE = 192
FILES = ((0.002, None), (0.002, 95), (0.002, 85), (0.006, 90))
"""Standard deviation of the noise, of 0..1, and quality of the JPEG file; None: not compressed."""


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    import ipt
    from ipt.bench import photographs
    from ipt.images import files
    from ipt.images.fit import as_colour
    from ipt.simulate.camera import Camera, rounded, turned
    from ipt.solve import metrics

    torch.set_num_threads(1)
    paths, rows = files.inputs(options.pictures), []
    for index in range(options.start, options.start + options.count):
        rng = np.random.default_rng([55, index])
        kernel, kind = photographs.draw_kernel(int(rng.integers(10_000)))
        reach = kernel.shape[-1]
        need, before = SIDE + reach - 1, reach - 1 - reach // 2
        picture = as_colour(files.read(paths[rng.integers(len(paths))]).pixels.clamp(0, 1), 3)
        top, left = (int(rng.integers(0, extent - need + 1)) for extent in picture.shape[1:])
        image = picture[:, top : top + need, left : left + need]
        truth = image[:, before : before + SIDE, before : before + SIDE]
        blurred = turned(image, kernel, 0.0, np.array([0.0, 1.0]))
        noise = torch.from_numpy(rng.normal(size=blurred.shape)).float()

        def psnr(found: Tensor, truth: Tensor = truth) -> float:
            return round(metrics.against_reference(found.clamp(0, 1), truth, max_shift=4)["psnr_registered"], 2)

        for level, quality in FILES:
            measured = rounded(Camera(jpeg=quality).stored(blurred + level * noise))
            result = ipt.restore(measured, prior="natural", known={"kernel": kernel}, name=str(index))
            row = {"picture": index, "kernel": f"{kind} {reach}", "noise": level, "quality": quality}
            rows.append({**row, "measured": psnr(measured), "known": psnr(result.picture)})
            print(*rows[-1].values(), flush=True)
            options.out.write_text(json.dumps({"pictures": str(options.pictures), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
