"""Whether to solve a picture's light or its values, where light was blurred and where values were.

    python benchmarks/linear_light.py --pictures bsds500/val --count 8 --out results/linear_light.json

Squares are cut from evenly spaced pictures after a camera's motion has blurred them, their light (--exposure times as
much, what is beyond white clipped) or their values. Each is solved both ways, with the true kernel and blindly. A row a
picture and kind of blur, in dB of the pictures' values.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch


def main() -> None:
    import ipt
    from ipt.images import files
    from ipt.images.files import Picture
    from ipt.operators.blur import Blur
    from ipt.operators.blur.kernels import MotionKernels
    from ipt.simulate.camera import Camera
    from ipt.simulate.simulation import simulate
    from ipt.solve.metrics import psnr
    from ipt.solve.picture import solve_picture
    from ipt.solve.prepare import ImageTask

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--kernel", type=int, default=17)
    parser.add_argument("--noise", type=float, default=0.005)
    parser.add_argument("--exposure", type=float, default=1.0)
    parser.add_argument("--blind", action="store_true", help="without the true kernel too")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = files.inputs(options.pictures)
    reach = options.kernel // 2
    solvers = {"known": ipt.build(operator="blur", prior="natural", known=("kernel",))}
    if options.blind:
        solvers["blind"] = ipt.build(operator="blur", prior="natural")
    rows = []
    for index in range(options.count):
        path = paths[index * len(paths) // options.count]
        picture = files.read(path).pixels
        top, left = ((length - options.side) // 2 - reach for length in picture.shape[1:])
        size = options.side + 2 * reach
        clean = picture[:, top : top + size, left : left + size]
        for blurred in ("light", "values"):
            camera = Camera(linear_light=blurred == "light", exposure=options.exposure)
            generators = {"kernel": MotionKernels((0.2, 1.0), (0.75 * options.kernel, options.kernel))}
            made = simulate(clean, Blur(options.kernel), generators, options.noise, 500 + index, True, camera)
            row = {"picture": path.name, "blurred": blurred, "input": psnr(made.measurement, made.clean)}
            for known, solver in solvers.items():
                given = made.parameters if known == "known" else {}
                for light in ("display", "linear"):
                    task = ImageTask(Picture(made.measurement, depth=16), path.name, known=given, light=light)
                    found = solve_picture(solver, task).picture.pixels.clamp(0, 1)
                    row[f"{known} {light}"] = psnr(found, made.clean)
            rows.append(row)
            print(
                {name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()},
                flush=True,
            )
            told = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps({"options": told, "rows": rows}, indent=1))
    for blurred in ("light", "values"):
        of_kind = [row for row in rows if row["blurred"] == blurred]
        means = {name: round(float(np.mean([row[name] for row in of_kind])), 2) for name in list(rows[0])[2:]}
        print(f"{blurred} blurred, mean: {means}")


if __name__ == "__main__":
    main()
