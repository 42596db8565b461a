"""The crops that the prior `natural` was trained on: one array (N, 64, 64, 3) of uint8 for `ipt train --from`.

    apt-get download mate-backgrounds plasma-workspace-wallpapers lomiri-wallpapers-16.04 lomiri-wallpapers-20.04
    for deb in *.deb; do dpkg -x $deb wallpapers; done
    python benchmarks/natural_crops.py -o natural.npy --photographs bsds500/train --held-out bsds500/val \
        --wallpapers wallpapers --faces celeba128_jpegpack.npz
    ipt train -o natural --from natural.npy --held-out 500 --images 150000 --width 48 --batch 16 --precision bf16 \
        --set 'network.multipliers=[1, 2, 3]' --set network.attention=false --set network.norm=pixel \
        --set training.sigma_mean=-1.2 --set training.sigma_std=1.5

The first 500 crops are of the held-out photographs. Each crop is cut at a random place, from a picture reduced at
random by 1 to 1/2 (antialiased), mirrored and turned by quarters at random, and in one of twelve cases made grey.
"""

from __future__ import annotations

import argparse
import re
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64
LONG = 768
"""Pixels: larger pictures are first reduced to a longer side of one to two times this, at which they are sharp."""
HELD_OUT = 500
GREY = 1 / 12
FACES_FROM = 500
"""The pack's first faces are held out everywhere."""
SHARES = {"photographs": 0.65, "wallpapers": 0.25, "faces": 0.1}

WALLPAPERS = (
    "mate/nature/Aqua mate/nature/Blinds mate/nature/Dune mate/nature/FreshFlower mate/nature/Garden "
    "mate/nature/GreenMeadow mate/nature/LadyBird mate/nature/RainDrops mate/nature/Storm mate/nature/TwoWings "
    "mate/nature/YellowFlower BytheWater ColdRipple ColorfulCups DarkestHour EveningGlow FallenLeaf Grey Kite "
    "OneStandsOut Path summer_1am Picture_1A Wine greentock seeding aitzgorri Dragonfly friends sunset free "
    "picosdeeuropa Picture_0B life Bridge Kleiber"
).split()
"""The photographs in Debian's packages mate-backgrounds (GPL-2+), plasma-workspace-wallpapers (GPL-2+) and
lomiri-wallpapers-16.04 and -20.04 (CC BY 4.0, CC BY-SA 3.0 and 4.0, CC0), as parts of their paths; what is drawn there
was left out."""


def main() -> None:
    """Write crops of all sources as one array."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--wallpapers", type=Path, required=True)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60_000)
    given = parser.parse_args()
    numbers = np.random.default_rng(0)
    sources = {
        "photographs": [picture(file) for file in sorted(given.photographs.glob("*.jpg"))],
        "wallpapers": [picture(file) for file in wallpapers(given.wallpapers)],
        "faces": faces(given.faces, numbers),
    }
    held_out = [picture(file) for file in sorted(given.held_out.glob("*.jpg"))]
    names, shares = list(SHARES), list(SHARES.values())
    array = np.lib.format.open_memmap(given.out, "w+", np.uint8, (HELD_OUT + given.count, SIDE, SIDE, 3))
    for index in range(len(array)):
        if index < HELD_OUT:
            array[index] = crop(held_out[index % len(held_out)], numbers)
            continue
        pictures = sources[names[numbers.choice(len(names), p=shares)]]
        array[index] = turned(crop(pictures[numbers.integers(len(pictures))], numbers), numbers)
    array.flush()
    print({name: len(pictures) for name, pictures in sources.items()}, len(held_out), array.shape)


def wallpapers(folder: Path) -> list[Path]:
    """The photographs among the packages' files, one file each where there are several sizes."""
    files = sorted(file for file in folder.rglob("*.jpg") if "screenshot" not in file.name)
    named = {name: re.compile(rf"/{name}(/|\.|_by_)") for name in WALLPAPERS}
    return [next(file for file in files if named[name].search(str(file))) for name in WALLPAPERS]


def picture(file: Path | BytesIO) -> Image.Image:
    """In colours, not much larger than is needed."""
    opened = Image.open(file)
    opened.draft("RGB", (LONG, LONG))
    image = opened.convert("RGB")
    by = max(1, max(image.size) // LONG)
    return image.reduce(by) if by > 1 else image


def faces(pack: Path, numbers: np.random.Generator, count: int = 4000) -> list[Image.Image]:
    """Some of the pack, of those that are not held out."""
    with np.load(pack) as data:
        bytes_, offsets = data["buf"], data["off"].astype(np.int64)
    chosen = numbers.choice(np.arange(FACES_FROM, len(offsets) - 1), count, replace=False)
    return [picture(BytesIO(bytes_[offsets[i] : offsets[i + 1]].tobytes())) for i in chosen]


def crop(image: Image.Image, numbers: np.random.Generator) -> np.ndarray:
    """SIDE x SIDE pixels of the picture, reduced at random."""
    side = round(SIDE * 2 ** numbers.random())
    left, top = (int(numbers.integers(length - side + 1)) for length in image.size)
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box))


def turned(pixels: np.ndarray, numbers: np.random.Generator) -> np.ndarray:
    """Turned by quarters, mirrored and made grey at random."""
    pixels = np.rot90(pixels, numbers.integers(4))
    if numbers.random() < 0.5:
        pixels = pixels[:, ::-1]
    if numbers.random() < GREY:
        luminance = pixels @ np.array([0.299, 0.587, 0.114])
        pixels = np.repeat(luminance.round().astype(np.uint8)[..., None], 3, axis=-1)
    return pixels


if __name__ == "__main__":
    main()
