"""Pictures solved all together, and from a region of them, in one piece or in tiles: quality and time.

    python benchmarks/large_pictures.py --pictures bsds500/val --count 6 --out results/large_pictures.json

Pictures of HEIGHT x WIDTH are cut from evenly spaced ones, blurred as those of the protocol `photographs`, so that what
lies outside the frame is real. They are small for what is measured: the region and the tiles are made smaller as well.
A row a picture: PSNR in dB, the free shift between picture and kernel taken out, and seconds of the processor.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

HEIGHT, WIDTH, REGION, TILE = 256, 400, 192, 192


def photograph(path: Path, index: int) -> tuple[torch.Tensor, torch.Tensor, str]:
    """A measurement and its truth, (3, HEIGHT, WIDTH), and the kind of the kernel."""
    from ipt.bench import photographs as protocol
    from ipt.images import files
    from ipt.simulate.camera import Camera, rounded, turned

    rng = np.random.default_rng(2000 + index)
    kernel, kind = protocol.draw_kernel(index)
    more, before = kernel.shape[-1] - 1, kernel.shape[-1] - 1 - kernel.shape[-1] // 2
    picture = files.read(path).pixels
    picture = picture if picture.shape[2] > picture.shape[1] else picture.transpose(1, 2)
    image = picture[:, : HEIGHT + more, : WIDTH + more].contiguous()
    direction = rng.normal(size=2)
    blurred = turned(image, kernel, protocol.ROTATIONS[index % 3] / 2, direction / np.linalg.norm(direction))
    noisy = blurred + protocol.NOISE * torch.from_numpy(rng.normal(size=blurred.shape)).float()
    measurement = rounded(Camera(jpeg=protocol.QUALITIES[index // 2 % 3]).stored(noisy))
    return measurement, image[:, before : before + HEIGHT, before : before + WIDTH], kind


def main() -> None:
    """Solve, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    import ipt
    from ipt.solve import metrics, region, task, tiles

    paths = sorted(path for path in options.pictures.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    region.CHOSEN_SIDE = task.CHOSEN_SIDE = REGION
    region.can_begin_at_half = lambda task: False
    rows = []
    for index in range(options.count):
        path = paths[index * len(paths) // options.count]
        measurement, truth, kind = photograph(path, index)

        def quality(image: torch.Tensor, truth: torch.Tensor = truth) -> float:
            return metrics.against_reference(image.clamp(0, 1), truth, max_shift=4)["psnr_registered"]

        row = {"picture": path.name, "kind": kind, "measured": quality(measurement)}
        for name, where, tile in (("together", "none", 1024), ("region", "auto", 1024), ("tiles", "auto", TILE)):
            tiles.SIDE, began = tile, time.process_time()
            found = ipt.restore(measurement.permute(1, 2, 0).numpy(), region=where, effort=1, name=path.name)
            row[name] = quality(torch.from_numpy(found.picture).permute(2, 0, 1))
            row[f"{name}_seconds"] = time.process_time() - began
        rows.append(row)
        print(row, flush=True)
        if options.out is not None:
            options.out.write_text(json.dumps(rows, indent=1) + "\n")
    for name in ("measured", "together", "region", "tiles"):
        print(name, round(float(np.mean([row[name] for row in rows])), 2))


if __name__ == "__main__":
    main()
