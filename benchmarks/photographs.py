"""One solver on the data of the protocol `photographs`, part by part, with settings and a contact sheet.

    python benchmarks/photographs.py --pictures bsds500/val --out results/photographs.json --sheet a.png
    python benchmarks/photographs.py --pictures bsds500/val --known --stop 10 --out results/photographs_known.json

The data, and how they are made: `ipt.bench.photographs`; `ipt bench photographs` makes the table of them. Here the
solver may be told something: --noise this level, --known the kernel. --save: the data as .npz, for other solvers. A row
an image, with the result registered to the truth within 4 px, for a picture and a kernel can be shifted against each
other without any change in the measurement.
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
from torch import Tensor


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
    from ipt.bench import photographs
    from ipt.images import files
    from ipt.images.files import Picture
    from ipt.solve import metrics
    from ipt.solve.batches import solve_tasks
    from ipt.solve.prepare import ImageTask, prepare
    from ipt.solve.sizer import BatchSizer

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
    paths = files.inputs(options.pictures)
    photographs.check_pictures(paths)
    taken = {
        index: photographs.photograph(photographs.source(paths, index, options.count), index, options.side)
        for index in range(options.start, options.count if options.stop is None else options.stop)
    }
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
