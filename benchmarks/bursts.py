"""Bursts through turbulence: photographs seen in several exposures, restored, beside what registration alone gives.

    python benchmarks/bursts.py --pictures bsds500/val --d-over-r0 2 4 --out results/bursts.json
    python benchmarks/bursts.py --table results/bursts.json

Each picture's burst is cut from the middle of larger exposures, so that what lies outside the frame is real: tilts by
`tilt-kolmogorov` and one kernel by `atmosphere`, both with their usual options but for D/r0, noise .01 on 0..1, rounded
to 8 bits. Nothing is told to the solver but the noise (--set and --kernel change that for studies). All PSNR are with
the shift registered that is free in a blind problem, within 5 px. `mean` and `median`: of the exposures shifted onto
their mean by phase correlation, to a tenth of a pixel. tilt: mean distance in px from the true tilts, what all frames
have in common taken out, and of a field of zeros. kernel: distance from the true one over its norm. A row a picture.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import NOISE, interval
from torch import Tensor

SIDE, AROUND, WINDOW = 128, 32, 25


def burst(path: Path, index: int, frames: int, ratio: float) -> dict[str, Tensor]:
    """measured (F, 3, SIDE, SIDE), clean (3, SIDE, SIDE), tilt (F, 2, SIDE, SIDE), kernel (1, WINDOW, WINDOW)."""
    from ipt.images import files
    from ipt.operators.turbulence import Turbulence
    from ipt.operators.turbulence.atmosphere import AtmosphericKernels
    from ipt.operators.turbulence.tilts import TiltKolmogorov

    picture, side = files.read(path).pixels, SIDE + 2 * AROUND
    rng = np.random.default_rng(1000 + index)
    top, left = (int(rng.integers(0, length - side + 1)) for length in picture.shape[1:])
    image = picture[:, top : top + side, left : left + side]
    kernel = AtmosphericKernels(ratio).sample([7000 + index], (1, WINDOW, WINDOW))
    tilt = TiltKolmogorov(ratio).sample([1000 * index + frame for frame in range(frames)], (2, side, side))
    given = {"kernel": kernel.expand(frames, -1, -1, -1), "tilt": tilt}
    seen = Turbulence(WINDOW, "circular").forward(image.expand(frames, -1, -1, -1), **given)
    seen = seen + NOISE * torch.randn(seen.shape, generator=torch.Generator().manual_seed(5 + index))
    inside = (..., slice(AROUND, AROUND + SIDE), slice(AROUND, AROUND + SIDE))
    measured = (255 * seen[inside].clamp(0, 1)).round() / 255
    return {"measured": measured, "clean": image[inside], "tilt": tilt[inside], "kernel": kernel[0]}


def registered(exposures: Tensor) -> dict[str, Tensor]:
    """Mean and median of exposures (F, C, H, W), each shifted onto the mean of all."""
    from scipy.ndimage import shift
    from skimage.registration import phase_cross_correlation

    still, moved = exposures.mean((0, 1)).numpy(), []
    for one in exposures.numpy():
        by, _, _ = phase_cross_correlation(still, one.mean(0), upsample_factor=10)
        moved.append(np.stack([shift(channel, by, order=3, mode="nearest") for channel in one]))
    stack = np.stack(moved)
    return {"mean": torch.from_numpy(stack.mean(0)), "median": torch.from_numpy(np.median(stack, 0))}


def kernel_error(found: Tensor, true: Tensor) -> float:
    """Of kernels (h, w) about their middles: the norm of the difference over that of the true one."""
    placed = []
    for kernel in (found, true):
        whole = torch.zeros(64, 64)
        top, left = (32 - side // 2 for side in kernel.shape)
        whole[top : top + kernel.shape[0], left : left + kernel.shape[1]] = kernel
        placed.append(whole)
    return float((placed[0] - placed[1]).norm() / placed[1].norm())


def row(found: Mapping[str, Tensor], true: Mapping[str, Tensor]) -> dict[str, float]:
    """The numbers of one picture; found: image, kernel (frames or 1, h, w), tilt (2 frames, H, W)."""
    from ipt.solve.metrics import against_reference

    def psnr(picture: Tensor) -> float:
        return against_reference(picture.clamp(0, 1), true["clean"], max_shift=5)["psnr_registered"]

    numbers = {"psnr": psnr(found["image"]), "psnr_input": psnr(true["measured"][0])}
    numbers |= {f"psnr_{name}": psnr(picture) for name, picture in registered(true["measured"]).items()}
    margin = (found["tilt"].shape[-1] - SIDE) // 2
    tilt = found["tilt"].unflatten(0, (-1, 2))[..., margin : margin + SIDE, margin : margin + SIDE]
    wanted = true["tilt"] - true["tilt"].mean(0)
    numbers["tilt"] = float((tilt - tilt.mean(0) - wanted).norm(dim=1).mean())
    numbers["tilt_zeros"] = float(wanted.norm(dim=1).mean())
    numbers["kernel"] = float(np.mean([kernel_error(kernel, true["kernel"][0]) for kernel in found["kernel"]]))
    return numbers


def solve(options: argparse.Namespace, ratio: float, rows: list[dict]) -> None:
    """Adds a row a picture, and keeps all rows so far in the file of results."""
    import ipt
    from ipt.cli.kinds import settings
    from ipt.operators.frames import Frames
    from ipt.solve.task import SamplingTask
    from ipt.solve.weighing import weighed

    paths = sorted(options.pictures.glob("*.jpg"))
    chosen = [paths[index * len(paths) // options.count] for index in range(options.count)]
    built = ipt.build(
        "turbulence", options.prior, settings=settings(options.set),
        steps=options.steps, device=options.device, known=("kernel",) if options.kernel else (),
    )  # fmt: skip
    solver = ipt.Multiscale(replace(built.solver, operator=Frames(built.solver.operator, options.frames)))
    for index, path in enumerate(chosen):
        if options.only is not None and index not in options.only:
            continue
        true = burst(path, index, options.frames, ratio)
        measured = true["measured"].flatten(0, 1)[None].to(options.device)
        known = {"kernel": true["kernel"][None].to(options.device)} if options.kernel else {}
        began = time.perf_counter()
        task = weighed(SamplingTask(solver.solver, measured, NOISE, known, (index,)))
        solution = solver.solve(measured, task.noise, known, task.seeds, task.mask)
        found = {"image": solution.image[0], **{name: value[0] for name, value in solution.parameters.items()}}
        numbers = row({name: value.cpu() for name, value in found.items()}, true)
        rows.append({"picture": path.name, "d_over_r0": ratio, "seconds": time.perf_counter() - began, **numbers})
        print(rows[-1], flush=True)
        keep(options, rows)


def keep(options: argparse.Namespace, rows: list[dict]) -> None:
    made = {**vars(options), "pictures": str(options.pictures)}
    Path(options.out).write_text(json.dumps({"options": made, "rows": rows}, indent=1))


def table(path: str) -> None:
    rows = json.loads(Path(path).read_text())["rows"]
    columns = ("psnr", "psnr_mean", "psnr_median", "psnr_input", "kernel", "tilt", "tilt_zeros", "seconds")
    print(f"| D/r0 | pictures | {' | '.join(columns)} |\n" + "|---" * (len(columns) + 2) + "|")
    for ratio in sorted({row["d_over_r0"] for row in rows}):
        own = [row for row in rows if row["d_over_r0"] == ratio]
        cells = [" ".join(interval([row[name] for row in own], 2)) for name in columns]
        print(f"| {ratio:g} | {len(own)} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the pictures, from 0; others are left out")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--d-over-r0", type=float, nargs="+", default=[2.0, 4.0])
    parser.add_argument("--prior", default="natural")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kernel", action="store_true", help="tell the true kernel")
    parser.add_argument("--set", action="append", default=[], metavar="PART.OPTION=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out")
    parser.add_argument("--table", metavar="FILE", help="show these results, and solve nothing")
    options = parser.parse_args()
    if not options.table:
        if options.pictures is None or not options.out:
            parser.error("give --pictures and --out, or --table")
        torch.set_num_threads(options.threads)
        rows: list[dict] = []
        for ratio in options.d_over_r0:
            solve(options, ratio, rows)
    table(options.table or options.out)


if __name__ == "__main__":
    main()
