"""What the benchmarks on validation faces share: the faces, the options, solving in batches, intervals and files."""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from ipt import Solver

NOISE = 0.01
"""Standard deviation of the measurements' noise, of 0..1."""


def faces(path: str, count: int) -> Tensor:
    """(count, 3, 64, 64) in 0..1: evenly spaced ones of the first 500 of the pack, which no training has seen."""
    from PIL import Image

    pack = np.load(path)
    buffer, offsets = pack["buf"], pack["off"]
    pictures = []
    for index in np.linspace(0, 499, count).astype(int):
        picture = Image.open(io.BytesIO(buffer[offsets[index] : offsets[index + 1]].tobytes())).convert("RGB").reduce(2)
        pictures.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255)
    return torch.stack(pictures)


def noisy(sharp: Tensor) -> Tensor:
    """With the noise of every measurement here, which is always the same."""
    return sharp + NOISE * torch.randn(sharp.shape, generator=torch.Generator().manual_seed(5))


def solved(
    solver: Solver, measured: Tensor, known: Mapping[str, Tensor], options: argparse.Namespace
) -> tuple[dict[str, Tensor], dict]:
    """The image and the parameters (those known among them), a row a measurement; seconds and calls of the networks."""
    from ipt.linalg.random import image_seed

    found: list[dict[str, Tensor]] = []
    began = time.perf_counter()
    for part in torch.arange(len(measured)).split(options.batch):
        seeds = [image_seed(options.seed, f"face{i}") for i in part.tolist()]
        given = {name: value[part] for name, value in known.items()}
        solution = solver.solve(measured[part], NOISE, known=given, seeds=seeds)
        found.append({**given, **solution.parameters, "image": solution.image})
        print(f"{part[-1] + 1} of {len(measured)} after {time.perf_counter() - began:.0f} s", flush=True)
    together = {name: torch.cat([values[name] for values in found]) for name in found[0]}
    return together, {"seconds": time.perf_counter() - began, "calls": dict(solution.calls)}


def interval(values: Sequence[float], digits: int) -> tuple[str, str]:
    """The mean, and its 95 % bootstrap interval in brackets."""
    numbers = np.array(values)
    draws = np.random.default_rng(0).choice(numbers, (2000, len(numbers))).mean(1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{numbers.mean():.{digits}f}", f"({low:.{digits}f}..{high:.{digits}f})"


def parser_of(description: str) -> argparse.ArgumentParser:
    """With the options that the benchmarks share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces")
    parser.add_argument("--method", default="proximal", choices=["proximal", "dps"])
    parser.add_argument("--prior", default="faces")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out")
    parser.add_argument("--pictures", help="a .npz for the pictures themselves")
    parser.add_argument("--table", nargs="+", metavar="FILE", help="show these results, and solve nothing")
    return parser


def run(
    parser: argparse.ArgumentParser,
    solve: Callable[[argparse.Namespace], dict],
    table: Callable[[Iterable[dict]], None],
) -> None:
    """Solve and keep the results in --out, or read those that are there; then the table."""
    options = parser.parse_args()
    if not options.table:
        if not options.faces or not options.out:
            parser.error("give --faces and --out, or --table")
        torch.set_num_threads(options.threads)
        result = {"options": vars(options), **solve(options)}
        Path(options.out).parent.mkdir(parents=True, exist_ok=True)
        Path(options.out).write_text(json.dumps(result, indent=1))
    paths = options.table or [options.out]
    table([json.loads(Path(path).read_text()) for path in paths])
