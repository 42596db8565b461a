"""Deblurring with the true kernel where the border is cut, against scikit-image at its best and the border given.

    python benchmarks/known_kernel.py --pictures bsds500/train --count 12 --out results/known_kernel.json

Squares are cut from evenly spaced pictures after they are blurred, so that what lies outside the frame is real. The
kernels are even rows, diagonals and boxes, a straight streak and a camera motion, of 15 to 31 px. Noise .01, which is
told. A row a picture, in dB:

    measured    the measurement
    cut         the solver, which knows nothing outside the frame
    whole       the solver, which is given --around more pixels on each side, cut to the same square
    wiener, rl  scikit-image's, the picture mirrored, with the parameter that is best against the truth
    tv          total variation: 100 steps of FISTA over a picture larger than its frame, whose proximal map is
                scikit-image's denoise_tv_chambolle, with the weight that is best against the truth

References:
    Beck, Teboulle, "Fast gradient-based algorithms for constrained total variation image denoising and deblurring
    problems" (IEEE Transactions on Image Processing 18, 2009).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

KINDS = ("row", "box", "diagonal", "box", "streak", "motion")
SIDES = (15, 17, 21, 25, 31)
NOISE = 0.01
WEIGHTS = (0.0005, 0.001, 0.002, 0.004, 0.008)


@dataclass(frozen=True)
class Cut:
    """whole: the measurement (3, S + 2 around, ...), of which the middle is what is cut; truth: of the middle."""

    whole: Tensor
    truth: Tensor
    kernel: Tensor
    kind: str
    name: str

    @property
    def around(self) -> int:
        """Pixels on each side that are not cut."""
        return (self.whole.shape[-1] - self.truth.shape[-1]) // 2

    def middle(self, picture: Tensor) -> Tensor:
        """Of a picture as large as the whole."""
        around = self.around
        return picture[:, around : picture.shape[-2] - around, around : picture.shape[-1] - around]


def kernel_of(index: int) -> tuple[Tensor, str]:
    """(1, h, h), of odd side, and its kind."""
    from ipt.operators.blur.kernels import MotionKernels

    kind, side = KINDS[index % len(KINDS)], SIDES[index % len(SIDES)]
    if kind == "motion":
        return MotionKernels((0.2, 1.0), (0.75 * side, side)).sample([500 + index], (1, side, side))[0], kind
    if kind == "streak":
        return MotionKernels(0.0, 0.95 * side).sample([500 + index], (1, side, side))[0], kind
    kernel = torch.zeros(1, side, side)
    if kind == "row":
        kernel[0, side // 2] = 1
    elif kind == "diagonal":
        kernel[0] = torch.eye(side)
    else:
        kernel[:] = 1
    return kernel / kernel.sum(), kind


def cut(files: list[Path], index: int, count: int, side: int, around: int) -> Cut:
    """Picture `index` of `count`."""
    from ipt.images import files as pictures
    from ipt.operators.blur import Blur

    path = files[index * len(files) // count]
    kernel, kind = kernel_of(index)
    reach = around + kernel.shape[-1] // 2
    picture = pictures.read(path).pixels
    top, left = ((length - side) // 2 for length in picture.shape[1:])
    if min(top, left) < reach:
        raise SystemExit(f"{path} is too small for {side + 2 * reach} px; give a smaller --side or --around")
    image = picture[:, top - reach : top + side + reach, left - reach : left + side + reach]
    blurred = Blur(kernel.shape[-1], margin=kernel.shape[-1] // 2).forward(image[None], kernel[None])[0]
    noise = torch.randn(blurred.shape, generator=torch.Generator().manual_seed(index))
    truth = picture[:, top : top + side, left : left + side]
    return Cut(blurred + NOISE * noise, truth, kernel, kind, path.name)


def total_variation(measurement: Tensor, kernel: Tensor, weight: float) -> Tensor:
    """The picture of least squared error with a penalty on total variation, (3, S, S)."""
    from skimage.restoration import denoise_tv_chambolle

    reach, side = kernel.shape[-1] // 2, measurement.shape[-1] + kernel.shape[-1] - 1
    spectrum = np.fft.rfft2(np.pad(kernel[0].double().numpy(), (0, side - kernel.shape[-1])))
    inside = (slice(None), slice(2 * reach, side), slice(2 * reach, side))
    measured = measurement.double().numpy()

    def filtered(values: np.ndarray, by: np.ndarray) -> np.ndarray:
        return np.fft.irfft2(np.fft.rfft2(values) * by, (side, side))

    image = np.pad(measured, [(0, 0), (reach, reach), (reach, reach)], mode="symmetric")
    ahead, momentum = image, 1.0
    for _ in range(100):
        residual = np.zeros_like(image)
        residual[inside] = filtered(ahead, spectrum)[inside] - measured
        step = ahead - filtered(residual, spectrum.conj())
        found = denoise_tv_chambolle(step, weight=weight, max_num_iter=20, channel_axis=0)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead, image, momentum = found + (momentum - 1) / following * (found - image), found, following
    return torch.from_numpy(image[:, reach : side - reach, reach : side - reach]).float()


def classical(one: Cut) -> dict[str, float]:
    """PSNR of each classical method, at its best."""
    from ipt.bench.baselines import baseline
    from ipt.bench.cases import Case
    from ipt.operators.blur import Blur
    from ipt.solve.metrics import psnr

    measurement = one.middle(one.whole)
    case = Case("", "", one.truth, measurement, {"kernel": one.kernel}, "", "")
    found = {
        short: psnr(baseline(name, case, Blur())[0].clamp(0, 1), one.truth)
        for short, name in (("wiener", "wiener"), ("rl", "richardson-lucy"))
    }
    variations = (total_variation(measurement, one.kernel, weight).clamp(0, 1) for weight in WEIGHTS)
    return {**found, "tv": max(psnr(result, one.truth) for result in variations)}


def main() -> None:
    import ipt
    from ipt.images.files import Picture
    from ipt.solve.metrics import psnr
    from ipt.solve.picture import solve_picture
    from ipt.solve.prepare import ImageTask

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--around", type=int, default=24)
    parser.add_argument("--prior", default="natural")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted([*options.pictures.glob("*.jpg"), *options.pictures.glob("*.png")])
    solver = ipt.build(operator="blur", prior=options.prior, known=("kernel",), precision=options.precision)

    def solved(measurement: Tensor, one: Cut) -> Tensor:
        task = ImageTask(Picture(measurement, depth=16), one.name, NOISE, known={"kernel": one.kernel}, clipped="none")
        return solve_picture(solver, task).picture.pixels.clamp(0, 1)

    rows = []
    for index in range(options.start, options.count):
        one = cut(files, index, options.count, options.side, options.around)
        began = time.perf_counter()
        row = {
            "index": index,
            "picture": one.name,
            "kernel": f"{one.kind} {one.kernel.shape[-1]}",
            "measured": psnr(one.middle(one.whole).clamp(0, 1), one.truth),
            "cut": psnr(solved(one.middle(one.whole), one), one.truth),
            "seconds": time.perf_counter() - began,
            "whole": psnr(one.middle(solved(one.whole, one)), one.truth),
            **classical(one),
        }
        rows.append(row)
        print({name: round(value, 2) if isinstance(value, float) else value for name, value in row.items()}, flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        told = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
        options.out.write_text(json.dumps({"options": told, "rows": rows}, indent=1))
    names = ("measured", "cut", "whole", "wiener", "rl", "tv")
    print("mean:", {name: round(float(np.mean([row[name] for row in rows])), 2) for name in names})
    for other in ("measured", "wiener", "rl", "tv"):
        below = [row["index"] for row in rows if row["cut"] < row[other]]
        print(f"below {other}: {below or 'none'}")
    far = [(row["index"], round(row["whole"] - row["cut"], 2)) for row in rows if row["cut"] < row["whole"] - 0.3]
    print(f"more than .3 dB below the whole: {far or 'none'}")


if __name__ == "__main__":
    main()
