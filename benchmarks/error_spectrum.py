"""Where the constants of `ipt/linalg/spectra.py` come from: the spectrum of faces, and of what a denoiser leaves.

    python benchmarks/error_spectrum.py --faces celeba128_jpegpack.npz

64 training faces at 64x64. Prints S(f) by radial frequency, and for each noise level the network's error over the
Wiener error S s^2 / (S + s^2), with luminance's share of it.
"""

from __future__ import annotations

import argparse
import io

import numpy as np
import torch

SHOWN = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]


def main() -> None:
    """Measure, and print a table."""
    from PIL import Image

    import ipt

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", required=True)
    pack = np.load(parser.parse_args().faces)
    buffer, offsets = pack["buf"], pack["off"]

    def face(index: int) -> np.ndarray:
        data = buffer[offsets[index] : offsets[index + 1]].tobytes()
        return np.array(Image.open(io.BytesIO(data)).convert("RGB").reduce(2), dtype=np.float32) / 127.5 - 1

    faces = torch.from_numpy(np.stack([face(i) for i in np.linspace(500, 24_000, 64).astype(int)])).permute(0, 3, 1, 2)
    mean = torch.from_numpy(np.mean([face(i) for i in range(500, 24_000, 16)], axis=0)).permute(2, 0, 1)
    side = torch.fft.fftfreq(64) * 64
    radius = torch.hypot(side[:, None], side[None]).round()

    def radial(error: torch.Tensor) -> np.ndarray:
        power = (torch.fft.fft2(error).abs().square() / 64**2).mean((0, 1))
        return np.array([float(power[radius == r].mean()) for r in SHOWN])

    spectrum = radial(faces - mean)
    print("f (cycles in 64 px)", SHOWN)
    print("S (-1..1; a quarter of it in 0..1)", np.round(spectrum, 4))
    prior = ipt.build(operator="blur", prior="faces").solver.priors["image"]
    for sigma in (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0):
        noise = torch.randn(faces.shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            error = prior.denoise(faces + sigma * noise, sigma) - faces
        ratio = radial(error) / (spectrum * sigma**2 / (spectrum + sigma**2))
        share = float(error.mean(1).square().mean() / error.square().mean())
        print(f"sigma {sigma}: over Wiener's {np.round(ratio, 2)}, luminance's share {share:.2f}")


if __name__ == "__main__":
    main()
