"""How well the example plugins find their parameters: the figures of `examples/plugins/`.

    pip install examples/plugins/*/
    python benchmarks/examples.py --faces celeba128_jpegpack.npz --out benchmarks/results/examples.json
    python benchmarks/examples.py --table benchmarks/results/examples.json

Faces: 8 evenly spaced ones of the first 500 (held out of training), reduced to 64x64; `mri-motion` sees their mean over
the channels. Each is degraded twice, with parameters and noise (.01) of its own seeds and kept to 0..1 as a file would
be, and solved blind and with the true parameters. Everything is fixed by seed; seconds are of the processor, for one
solve alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from common import faces

NOISE = 0.01
CASES = {
    "ipt-defocus": ("defocus", {}, (40, 100)),
    "ipt-gamma": ("gamma", {}, (40,)),
    "ipt-downscale": ("blind-downscale", {}, (40, 100)),
    "ipt-mri-motion": ("mri-motion", {"guidance.parameter_noise": 0.5}, (40, 100)),
}
"""Distribution: operator, settings and numbers of steps."""


def solved(operator: str, settings: dict, steps: int, options: argparse.Namespace) -> dict:
    """Faces degraded by an example plugin and solved blind and with its parameters known."""
    import ipt
    from ipt.linalg.random import image_seed
    from ipt.simulate.simulation import generator_names, generators_for, simulate
    from ipt.solve import metrics

    common = {"operator": operator, "prior": "faces", "settings": settings, "steps": steps, "precision": "bf16"}
    blind = ipt.build(**common)
    clean = faces(options.faces, options.count)
    if operator == "mri-motion":
        clean = clean.mean(1, keepdim=True)
    problem = blind.solver.operator
    specs = problem.parameters(tuple(clean.shape[1:]))
    non_blind = ipt.build(**common, known=tuple(specs))
    generators = generators_for(generator_names({}, specs), {})
    rows = []
    for draw in range(options.draws):
        seeds = [image_seed(draw, f"face{index}") for index in range(options.count)]
        made = [simulate(each, problem, generators, NOISE, seed) for each, seed in zip(clean, seeds, strict=True)]
        measured = torch.stack([each.measurement.clamp(0, 1) for each in made])
        noise = NOISE
        if len(clean[0]) == 1:
            # As `ipt solve` does: three equal channels, each of which counts a third.
            measured, noise = measured.expand(-1, 3, -1, -1), NOISE * 3**0.5
        truth = {name: torch.stack([each.parameters[name] for each in made]) for name in specs}
        found = blind.solve(measured, noise, seeds=seeds)
        given = non_blind.solve(measured, noise, known=truth, seeds=seeds)
        images = [each.image if len(clean[0]) == 3 else each.image.mean(1, keepdim=True) for each in (found, given)]
        for index in range(options.count):
            row = {
                "draw": draw,
                "psnr": float(metrics.psnr(images[0][index], clean[index])),
                "psnr_known": float(metrics.psnr(images[1][index], clean[index])),
            }
            for name in specs:
                error = found.parameters[name][index] - truth[name][index]
                row |= {
                    f"{name}_true": truth[name][index].flatten().tolist(),
                    f"{name}_rms": float(error.square().mean().sqrt()),
                    f"{name}_mean": float(error.mean()),
                }
            rows.append(row)
        print(f"{operator}, {steps} steps, draw {draw}", flush=True)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        blind.solve(measured[:1], noise, seeds=seeds[:1])
        seconds.append(time.process_time() - began)
    return {"steps": steps, "seconds": min(seconds), "parameters": list(specs), "rows": rows}


def table(result: dict) -> None:
    """Of errors of the parameters."""
    print("| package | steps | parameter | true | median | rms | worst | on average | PSNR blind / known | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for package, runs in result["runs"].items():
        for run in runs:
            blind, known = (np.mean([row[key] for row in run["rows"]]) for key in ("psnr", "psnr_known"))
            for name in run["parameters"]:
                true = np.concatenate([row[f"{name}_true"] for row in run["rows"]])
                errors = np.array([row[f"{name}_rms"] for row in run["rows"]])
                shift = np.mean([row[f"{name}_mean"] for row in run["rows"]])
                rms = np.sqrt(np.square(errors).mean())
                print(
                    f"| {package} | {run['steps']} | {name} | {true.min():.2f}..{true.max():.2f} "
                    f"| {np.median(errors):.4f} | {rms:.4f} | {errors.max():.4f} | {shift:+.4f} "
                    f"| {blind:.2f} / {known:.2f} | {run['seconds'] or float('nan'):.1f} |"
                )


def main() -> None:
    """Solve, or show results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--only", choices=CASES, action="append", help="a package, instead of all")
    parser.add_argument("--steps", type=int, action="append", help="a number of steps, instead of all that are told of")
    parser.add_argument("--out")
    parser.add_argument("--table")
    options = parser.parse_args()
    if options.table:
        table(json.loads(Path(options.table).read_text()))
        return
    torch.set_num_threads(1)
    result: dict = {"runs": {}}
    for package, (operator, settings, numbers) in CASES.items():
        for steps in numbers:
            if package in (options.only or CASES) and steps in (options.steps or numbers):
                result["runs"].setdefault(package, []).append(solved(operator, settings, steps, options))
                if options.out:
                    Path(options.out).write_text(json.dumps(result, indent=1))
    table(result)


if __name__ == "__main__":
    main()
