"""Denoising whole photographs at known noise: the prior `natural` beside FFDNet, non-local means and total variation.

    python benchmarks/denoising.py --pictures bsds500/val --methods natural ffdnet --ffdnet ffdnet_color.pth

Gaussian noise of 5, 15, 25, 50 and 75 of 255, not clipped, fixed by seed. Results are clipped; PSNR over all channels,
the mean over the pictures with its 95 % bootstrap interval. `ffdnet` is `benchmarks/ffdnet.py`. The other baselines are
scikit-image's: non-local means knows the noise level, and total variation's weight is chosen for each level, once, by
the mean PSNR on the first 10 pictures. `bm3d` is CBM3D by its authors (PyPI `bm3d`, for research only, not a
dependency; 20 s a picture). --every 5: each fifth picture. --grey: the mean of the channels, by `natural` as of grey
pictures, and by `copied`, which is `natural` shown the same noisy picture in each channel.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

LEVELS = (5, 15, 25, 50, 75)
WEIGHTS = (0.5, 0.7, 1.0, 1.4, 2.0)
"""Of total variation, over the noise level."""

Denoiser = Callable[[np.ndarray, float], np.ndarray]


def natural(precision: str, copied: bool = False) -> Denoiser:
    """The shipped prior `natural` at the noise level it is given; copied: of a grey picture in three channels."""
    from ipt.priors.grey import Grey
    from ipt.priors.shipped import natural

    prior = natural(precision=precision)

    def denoise(noisy: np.ndarray, level: float) -> np.ndarray:
        # The prior's variable is -1..1, where noise has twice the standard deviation.
        normalised, sigma = torch.from_numpy(noisy).permute(2, 0, 1)[None].float() * 2 - 1, 2 * level
        if copied:
            found = prior.denoise(normalised.expand(-1, 3, -1, -1), 3**0.5 * sigma).mean(1, keepdim=True)
        else:
            found = (prior if normalised.shape[1] == 3 else Grey(prior)).denoise(normalised, sigma)
        return (found[0].permute(1, 2, 0).numpy() + 1) / 2

    return denoise


def ffdnet(file: Path) -> Denoiser:
    """FFDNet for colour, its weights in `file`."""
    from ffdnet import FFDNet

    network = FFDNet(file).eval()

    def denoise(noisy: np.ndarray, level: float) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(noisy).permute(2, 0, 1)[None].float(), level)[0].permute(1, 2, 0).numpy()

    return denoise


def nl_means(noisy: np.ndarray, level: float) -> np.ndarray:
    """Non-local means of scikit-image."""
    from skimage.restoration import denoise_nl_means

    options = {"patch_size": 5, "patch_distance": 6, "fast_mode": True, "channel_axis": -1}
    return denoise_nl_means(noisy, h=0.6 * level, sigma=level, **options)


def bm3d(noisy: np.ndarray, level: float) -> np.ndarray:
    """BM3D, of the package `bm3d`."""
    from bm3d import bm3d_rgb

    return bm3d_rgb(noisy, level)


def total_variation(weight: float) -> Denoiser:
    """Total variation of scikit-image, with a weight over the noise level."""
    from skimage.restoration import denoise_tv_chambolle

    return lambda noisy, level: denoise_tv_chambolle(noisy, weight=weight * level, channel_axis=-1)


def measured(denoise: Denoiser, pictures: list[np.ndarray], level: float) -> tuple[list[float], float]:
    """PSNR of each picture, and seconds for all."""
    found, began = [], time.perf_counter()
    for index, clean in enumerate(pictures):
        noise = np.random.default_rng([index, round(255 * level)]).standard_normal(clean.shape)
        result = denoise(clean + level * noise, level).clip(0, 1)
        found.append(float(-10 * np.log10(np.square(result - clean).mean())))
    return found, time.perf_counter() - began


def main() -> None:
    """Measure every denoiser at every noise level."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=["noisy", "tv", "nl_means", "natural"])
    parser.add_argument("--count", type=int)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--ffdnet", type=Path, help="FFDNet's file of weights: benchmarks/ffdnet.py")
    parser.add_argument("--grey", action="store_true")
    parser.add_argument("--levels", nargs="+", type=int, default=LEVELS, help="of the noise, of 255")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted(options.pictures.glob("*.jpg"))[:: options.every][: options.count]
    pictures = [np.asarray(Image.open(file).convert("RGB")).astype(np.float64) / 255 for file in files]
    if options.grey:
        pictures = [picture.mean(-1, keepdims=True) for picture in pictures]
    results = []
    for of_255 in options.levels:
        level = of_255 / 255
        for name in options.methods:
            weight = None
            if name == "tv":
                scores = {w: np.mean(measured(total_variation(w), pictures[:10], level)[0]) for w in WEIGHTS}
                weight = max(scores, key=scores.__getitem__)
            makers: dict[str, Callable[[], Denoiser]] = {
                "noisy": lambda: lambda noisy, level: noisy,
                "tv": lambda weight=weight: total_variation(weight),
                "nl_means": lambda: nl_means,
                "bm3d": lambda: bm3d,
                "ffdnet": lambda: ffdnet(options.ffdnet),
                "natural": lambda: natural(options.precision),
                "copied": lambda: natural(options.precision, copied=True),
            }
            psnr, seconds = measured(makers[name](), pictures, level)
            draws = np.random.default_rng(0).choice(psnr, (2000, len(psnr))).mean(1)
            low, high = np.percentile(draws, [2.5, 97.5])
            result = f"{np.mean(psnr):.2f} ({low:.2f}..{high:.2f})"
            print(f"| {of_255}/255 | {name} | {result} | {seconds / len(psnr):.2f} s a picture |", flush=True)
            results.append({"level": of_255, "method": name, "weight": weight, "psnr": psnr, "seconds": seconds})
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        result = {"pictures": [file.name for file in files], "precision": options.precision, "results": results}
        options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
