"""`shake` beside `blur` on photographs that a camera blurred which turned while it shook.

    python benchmarks/shake.py --pictures bsds500/val --out results/turned.json --sheet turned.png
    python benchmarks/shake.py --pictures bsds500/val --rotation 0 0 --out results/shifted.json
    python benchmarks/shake.py --pictures bsds500/val --known --out results/known.json

A square is cut from the middle of every picture after it was blurred, pose by pose, so that neither the operator's
tiles nor what lies outside the frame are assumed; noise .01, told to the solver, as the kernel's window is. --known:
the solver is given the true kernels (of the tiles, and for `blur` that of the middle). A row a picture and operator,
registered to the truth within 4 px. One draw each. results/shake.json has all three.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NOISE = 0.01
WINDOW = 32
MARGIN = 24
"""Pixels around the square that the camera sees."""
EXTENTS = (10.0, 22.0)
"""Pixels of the shift's larger side."""
POSES = 3
"""For each moment of the generator's trajectory, so that poses are less than a pixel apart."""


def photograph(picture: Tensor, index: int, side: int, rotation: tuple[float, float]) -> dict[str, Tensor]:
    """A measurement (3, side, side), its truth, and the trajectory (3, T), fixed by the index."""
    from ipt.operators.shake.trajectories import CameraShake
    from ipt.simulate.camera import posed

    need = side + 2 * MARGIN
    height, width = picture.shape[-2:]
    top, left = (height - need) // 2, (width - need) // 2
    seen = picture[:, top : top + need, left : left + need]
    camera = CameraShake(extent=EXTENTS, rotation=rotation, frame=(side, side))
    poses = camera.poses([900 + index], (16, WINDOW, WINDOW))
    fine = F.interpolate(poses, POSES * (poses.shape[-1] - 1) + 1, mode="linear", align_corners=True)[0]
    blurred = posed(seen, fine.T.tolist(), [1.0] * fine.shape[1])
    inside = slice(MARGIN, MARGIN + side)
    noise = np.random.default_rng(1000 + index).normal(size=(3, side, side))
    measurement = blurred[:, inside, inside] + NOISE * torch.from_numpy(noise).float()
    return {"measurement": measurement, "truth": seen[:, inside, inside], "poses": poses[0]}


def main() -> None:
    import ipt
    from ipt.images import files
    from ipt.images.files import Picture
    from ipt.images.fit import as_colour
    from ipt.images.grids import kernel_grid_picture
    from ipt.images.pictures import Cell, contact_sheet
    from ipt.operators.shake.trajectories import kernels_of
    from ipt.solve import metrics
    from ipt.solve.batches import BatchSizer, solve_tasks
    from ipt.solve.prepare import ImageTask, prepare

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--count", type=int, default=15)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--stop", type=int)
    parser.add_argument("--rotation", type=float, nargs=2, default=(0.5, 1.5), metavar="DEGREES")
    parser.add_argument("--operators", nargs="+", default=["blur", "shake"])
    parser.add_argument("--known", action="store_true")
    parser.add_argument("--prior", default="natural")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = files.inputs(options.pictures)
    settings = {"operator.kernel_size": WINDOW, **dict(one.split("=", 1) for one in options.set)}
    solvers = {
        name: ipt.build(
            name, options.prior, known=("kernel",) if options.known else (), settings=settings,
            device=options.device, precision="bf16",
        ).solver
        for name in options.operators
    }  # fmt: skip
    rows, cells = [], []
    for index in range(options.start, options.count if options.stop is None else options.stop):
        picture = as_colour(files.read(paths[index * len(paths) // options.count]).pixels.clamp(0, 1), 3)
        made = photograph(picture, index, options.side, tuple(options.rotation))
        column = [Cell(made["truth"], f"truth {index}"), Cell(made["measurement"])]
        for name, solver in solvers.items():
            shape = solver.operator.image_shape((3, options.side, options.side))
            tiles = math.isqrt(solver.operator.parameters(shape)["kernel"].shape[0])
            true = kernels_of(made["poses"][None], tiles, (options.side, options.side), (WINDOW, WINDOW))[0]
            began = time.perf_counter()
            known = {"kernel": true} if options.known else {}
            task = ImageTask(Picture(made["measurement"]), f"shake{index}", NOISE, known=known, effort=1)
            prepared = prepare(solver, task, options.device)
            (solution,) = solve_tasks([prepared.sampling], BatchSizer(1))
            found = solution.parameters.get("kernel", true[None])[0].cpu()
            row = {
                "index": index,
                "operator": name,
                "degrees": float(np.degrees(np.ptp(made["poses"][2].numpy()))),
                "psnr_measurement": float(metrics.psnr(made["measurement"], made["truth"])),
                **metrics.against_reference(solution.image[0].cpu().clamp(0, 1), made["truth"], max_shift=4),
                "mnc": float(np.mean([metrics.kernel_mnc(a[None], b[None]) for a, b in zip(found, true, strict=True)])),
                "residual": float(solution.residual[0]) / NOISE,
                "probability": solution.assessments[0].probability if solution.assessments else None,
                "locality": solution.assessments[0].evidence.get("locality") if solution.assessments else None,
                "seconds": time.perf_counter() - began,
            }
            rows.append(row)
            shown = {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}
            print(shown, flush=True)
            column += [Cell(solution.image[0].cpu().clamp(0, 1), f"{name} {row['psnr_registered']:.1f} dB")]
            column += [Cell(kernel_grid_picture(found), "found"), Cell(kernel_grid_picture(true), "true")]
        cells.append(column)
        told = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"options": told, "rows": rows}, indent=1))
    for operator in options.operators:
        own = [row for row in rows if row["operator"] == operator]
        means = [f"{key} {np.mean([row[key] for row in own]):.3f}" for key in
                 ("psnr_measurement", "psnr", "psnr_registered", "mnc", "residual", "seconds")]  # fmt: skip
        print(f"{operator}: {', '.join(means)}")
    if options.sheet:
        from PIL import Image

        Image.fromarray(contact_sheet(cells, 256)).save(options.sheet)


if __name__ == "__main__":
    main()
