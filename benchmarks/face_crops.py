"""Training pictures of the priors `faces` and `faces256`: CelebA's faces and crops of synthetic ones, in an array.

    python generate_faces.py --weights weights/ --out faces/ --first-seed 0 --count 1240 --size 512
    python benchmarks/face_crops.py --synthetic faces/ --celeba celeba128_jpegpack.npz --side 64 --repeat 4 --out a.npy
    python benchmarks/face_crops.py --synthetic faces/ --side 256 --out faces256.npy
    ipt train -o prior --from a.npy --held-out 644 --start-from faces --images 475000

Synthetic faces: a folder of pictures of 512x512 pixels. Each gives three crops: whole, and two towards the face, the
tighter one about as tight as CelebA's. The array (N, side, side, 3), uint8, begins with what is to be held out: the
first --held-out of CelebA, then the crops of the first --held-out-synthetic faces. --repeat: how often each of the
other crops is there, to weigh them against CelebA's. CelebA's pictures have 128x128 pixels and are left out beyond.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
from PIL import Image

CROPS = ((0, 0, 512), (31, 56, 450), (62, 112, 388))
"""Left, top and side, of 512x512 pixels. The last was found by the likeness of the mean faces."""


def crops(file: Path, side: int) -> Iterator[np.ndarray]:
    """The crops of a generated face, (side, side, 3)."""
    picture = Image.open(file).convert("RGB")
    if picture.size != (512, 512):
        raise SystemExit(f"{file} has {picture.width}x{picture.height} pixels, not 512x512: generate with --size 512")
    for left, top, whole in CROPS:
        part = picture.crop((left, top, left + whole, top + whole))
        exact = whole % side == 0
        yield np.asarray(part.reduce(whole // side) if exact else part.resize((side, side), Image.Resampling.BICUBIC))


def celeba(pack: Path, side: int) -> Iterator[np.ndarray]:
    """CelebA's faces, (side, side, 3)."""
    if 128 % side:
        raise SystemExit(f"CelebA's faces of 128x128 pixels cannot be averaged to {side}x{side}: leave --celeba out")
    stored = np.load(pack)
    buffer, offsets = stored["buf"], stored["off"]
    for start, end in pairwise(offsets):
        picture = Image.open(io.BytesIO(buffer[start:end].tobytes())).convert("RGB")
        yield np.asarray(picture.reduce(128 // side))


def main() -> None:
    """Write all crops as one array."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", type=Path, required=True)
    parser.add_argument("--celeba", type=Path)
    parser.add_argument("--side", type=int, required=True)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--held-out", type=int, default=500)
    parser.add_argument("--held-out-synthetic", type=int, default=48)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    files = sorted(options.synthetic.glob("*.png"))
    drawn = [list(crops(file, options.side)) for file in files]
    count = options.held_out_synthetic
    held_out, rest = (list(chain(*part)) for part in (drawn[:count], drawn[count:]))
    real = list(celeba(options.celeba, options.side)) if options.celeba else []
    first = options.held_out
    pictures = np.stack([*real[:first], *held_out, *real[first:], *(options.repeat * rest)])
    np.save(options.out, pictures)
    print(f"{len(pictures)} pictures; hold out the first {len(real[:first]) + len(held_out)}")


if __name__ == "__main__":
    main()
