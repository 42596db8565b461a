"""`shake` beside `blur` on photographs that a camera blurred which turned while it shook.

    python benchmarks/shake.py --pictures FOLDER --side 384 --window 48 --count 20 --out turned.json --sheets sheets
    python benchmarks/shake.py --pictures FOLDER --side 384 --window 48 --rotation 0 0 --out shifted.json
    python benchmarks/shake.py --pictures FOLDER --side 384 --window 48 --known --out known.json

A square is cut from the middle of every picture (enlarged where it is too small) after it was blurred, pose by pose, so
that neither the operator's tiles nor what lies outside the frame are assumed; noise .01, told to the solver, as the
kernel's window is. --known: the solver is given the true kernels (of the tiles, and for `blur` that of the middle). A
row a picture and operator, registered to the truth within 4 px. One draw each. What is solved in smaller pictures is
the same for both operators: it is solved once, and its time counts for both. Rows are written as they are found, and
what is in --out already is not solved again. results/shake.json has all three.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NOISE = 0.01
EXTENTS = (10.0, 22.0)
"""Pixels of the shift's larger side."""
POSES = 3
"""For each moment of the generator's trajectory, so that poses are less than a pixel apart."""


def photograph(picture: Tensor, index: int, side: int, rotation: tuple[float, float], window: int) -> dict[str, Tensor]:
    """A measurement (3, side, side), its truth, and the trajectory (3, T), fixed by the index."""
    from ipt.operators.shake.trajectories import CameraShake
    from ipt.simulate.camera import posed

    # What the camera sees around the square: as far as a kernel reaches, and more in a corner that turns.
    margin = window // 2 + 8
    need = side + 2 * margin
    if (smaller := min(picture.shape[-2:])) < need:
        size = [math.ceil(length * need / smaller) for length in picture.shape[-2:]]
        picture = F.interpolate(picture[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
    height, width = picture.shape[-2:]
    top, left = (height - need) // 2, (width - need) // 2
    seen = picture[:, top : top + need, left : left + need]
    camera = CameraShake(extent=EXTENTS, rotation=rotation, frame=(side, side))
    poses = camera.poses([900 + index], (16, window, window))
    fine = F.interpolate(poses, POSES * (poses.shape[-1] - 1) + 1, mode="linear", align_corners=True)[0]
    blurred = posed(seen, fine.T.tolist(), [1.0] * fine.shape[1])
    inside = slice(margin, margin + side)
    noise = np.random.default_rng(1000 + index).normal(size=(3, side, side))
    measurement = blurred[:, inside, inside] + NOISE * torch.from_numpy(noise).float()
    return {"measurement": measurement, "truth": seen[:, inside, inside], "poses": poses[0]}


def solved(tasks: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, float]]]:
    """Of each operator by name the solution and its seconds, of all and of the smaller pictures that all share."""
    from ipt.sampling.multiscale import Multiscale

    shared, seconds = None, 0.0
    for name, task in tasks.items():
        solver = Multiscale(task.solver)
        levels, trace = solver.problem(task.measurement, task.noise, task.known), []
        first = sum(level.size[2] for level in levels[:-1])
        began, before = time.perf_counter(), seconds
        for state in solver.steps(levels, task.seeds, shared):
            trace.append(state.residual)
            if state.index == first:
                shared, seconds = state, time.perf_counter() - began
                began, before = time.perf_counter(), seconds
        solution = solver.solution(levels, state, trace)
        spent = before + time.perf_counter() - began
        yield name, solution, {"seconds": spent, "smaller_seconds": before}


def main() -> None:
    import ipt
    from ipt.images import files
    from ipt.images.files import Picture
    from ipt.images.fit import as_colour
    from ipt.images.grids import kernel_grid_picture
    from ipt.images.pictures import Cell, contact_sheet
    from ipt.operators.shake.trajectories import kernels_of
    from ipt.solve import metrics
    from ipt.solve.prepare import ImageTask, prepare

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--window", type=int, default=32)
    parser.add_argument("--count", type=int, default=15)
    parser.add_argument("--indices", type=int, nargs="+")
    parser.add_argument("--rotation", type=float, nargs=2, default=(0.5, 1.5), metavar="DEGREES")
    parser.add_argument("--operators", nargs="+", default=["blur", "shake"])
    parser.add_argument("--known", action="store_true")
    parser.add_argument("--prior", default="natural")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    paths = files.inputs(options.pictures)
    settings = {"operator.kernel_size": options.window, **dict(one.split("=", 1) for one in options.set)}
    solvers = {
        name: ipt.build(
            name, options.prior, known=("kernel",) if options.known else (), settings=settings,
            device=options.device, precision="bf16",
        ).solver
        for name in options.operators
    }  # fmt: skip
    rows = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    for index in options.indices or range(options.count):
        path = paths[index * len(paths) // options.count]
        made = photograph(
            as_colour(files.read(path).pixels.clamp(0, 1), 3),
            index, options.side, tuple(options.rotation), options.window,
        )  # fmt: skip
        column, tasks, true = [Cell(made["truth"], f"truth {index}"), Cell(made["measurement"])], {}, {}
        for name, solver in solvers.items():
            if any(row["index"] == index and row["operator"] == name for row in rows):
                continue
            shape = solver.operator.image_shape((3, options.side, options.side))
            tiles = math.isqrt(solver.operator.parameters(shape)["kernel"].shape[0])
            sides = (options.window, options.window)
            true[name] = kernels_of(made["poses"][None], tiles, (options.side, options.side), sides)[0]
            known = {"kernel": true[name]} if options.known else {}
            task = ImageTask(Picture(made["measurement"]), f"shake{index}", NOISE, known=known, effort=1)
            tasks[name] = prepare(solver, task, options.device).sampling
        for name, solution, seconds in solved(tasks):
            found = solution.parameters["kernel"][0].cpu()
            pairs = zip(found, true[name], strict=True)
            row = {
                "index": index,
                "picture": path.name,
                "operator": name,
                "tiles": math.isqrt(len(found)),
                "degrees": float(np.degrees(np.ptp(made["poses"][2].numpy()))),
                "psnr_measurement": float(metrics.psnr(made["measurement"], made["truth"])),
                **metrics.against_reference(solution.image[0].cpu().clamp(0, 1), made["truth"], max_shift=4),
                "mnc": float(np.mean([metrics.kernel_mnc(one[None], other[None]) for one, other in pairs])),
                "residual": float(solution.residual[0]) / NOISE,
                "probability": solution.assessments[0].probability if solution.assessments else None,
                "locality": solution.assessments[0].evidence.get("locality") if solution.assessments else None,
                **seconds,
            }
            row = {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
            rows.append(row)
            print(json.dumps(row), flush=True)
            column += [Cell(solution.image[0].cpu().clamp(0, 1), f"{name} {row['psnr_registered']:.1f} dB")]
            column += [Cell(kernel_grid_picture(found), "found"), Cell(kernel_grid_picture(true[name]), "true")]
            told = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
            options.out.parent.mkdir(parents=True, exist_ok=True)
            options.out.write_text(json.dumps({"options": told, "rows": rows}, indent=1))
        if options.sheets and tasks:
            from PIL import Image

            options.sheets.mkdir(parents=True, exist_ok=True)
            Image.fromarray(contact_sheet([column], 256)).save(options.sheets / f"{index}.png")
    for operator in options.operators:
        own = [row for row in rows if row["operator"] == operator]
        means = [f"{key} {np.mean([row[key] for row in own]):.3f}" for key in
                 ("psnr_measurement", "psnr", "psnr_registered", "mnc", "residual", "seconds")]  # fmt: skip
        print(f"{operator}: {', '.join(means)}")


if __name__ == "__main__":
    main()
