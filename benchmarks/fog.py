"""How far fog's transmission is found (examples/plugins/ipt-problems): one draw, and the mean of several.

    pip install examples/plugins/ipt-problems
    python benchmarks/fog.py --faces celeba128_jpegpack.npz --out benchmarks/results/fog.json

Half of the cases are the face that comes with ipt, the others evenly spaced ones of the 500 that the prior `faces` did
not see, 64x64; each behind a fog of its own, with noise .01. A row a case: the root mean square error of the
transmission over the deviation of the true one, of each draw, of the mean of all (`ipt solve --samples`), and of a
constant, the true mean of all cases. The same by PSNR for the picture.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from common import NOISE, faces
from torch import Tensor


def ratios(found: Tensor, true: Tensor) -> Tensor:
    """(B,): root mean square errors over the deviations of the true maps."""
    return (found - true).square().mean((1, 2, 3)).sqrt() / true.flatten(1).std(1, correction=0)


def main() -> None:
    import ipt
    from ipt.linalg.random import image_seed
    from ipt.simulate.simulation import generator_names, generators_for, simulate
    from ipt.solve.example import face
    from ipt.solve.metrics import psnr

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the fogs")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    half = options.count // 2
    clean = torch.cat([face(64).expand(options.count - half, -1, -1, -1), faces(options.faces, half)])
    solver = ipt.build("fog", "faces", steps=options.steps, precision="fp32")
    operator = solver.solver.operator
    specs = operator.parameters(tuple(clean.shape[1:]))
    generators = generators_for(generator_names({}, specs), {})
    seeds = [image_seed(options.seed, f"fog{index}") for index in range(options.count)]
    made = [simulate(one, operator, generators, NOISE, seed) for one, seed in zip(clean, seeds, strict=True)]
    measured = torch.stack([each.measurement.clamp(0, 1) for each in made])
    true = torch.stack([each.parameters["transmission"] for each in made])
    images, maps, rows = [], [], []
    for draw in range(options.draws):
        found = solver.solve(measured, NOISE, seeds=[image_seed(draw, str(seed)) for seed in seeds])
        images.append(found.image.clamp(0, 1))
        maps.append(found.parameters["transmission"])
        each, mean = torch.stack([ratios(one, true) for one in maps]), torch.stack(maps).mean(0)
        image, constant = torch.stack(images).mean(0), true.mean().expand_as(true)
        rows = [
            {
                "draws": each[:, index].tolist(),
                "mean": float(ratios(mean, true)[index]),
                "constant": float(ratios(constant, true)[index]),
                "psnr_measurement": float(psnr(measured[index], clean[index])),
                "psnr": [float(psnr(one[index], clean[index])) for one in images],
                "psnr_mean": float(psnr(image[index], clean[index])),
            }
            for index in range(options.count)
        ]
        summary = (each.mean(), torch.tensor([row["mean"] for row in rows]).mean())
        print(f"{draw + 1} draws: each {summary[0]:.3f}, their mean {summary[1]:.3f}", flush=True)
        kept = {**vars(options), "out": None, "faces": Path(options.faces).name}
        options.out.write_text(json.dumps({"options": kept, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
