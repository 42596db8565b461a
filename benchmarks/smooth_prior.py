"""What the prior `smooth` leaves of a smooth field: nothing given, its length and deviation given, and a box prior.

    python benchmarks/smooth_prior.py --out benchmarks/results/smooth_prior.json

Fields of 64x64 by the generator `smooth`, within 0..1, of deviation .15; root mean square error, a share of the range,
behind noise of a level in normalised units. Means over the fields.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

SIDE, DEVIATION, LENGTHS, LEVELS = 64, 0.15, (8.0, 24.0, 64.0), (0.2, 1.0)


def main() -> None:
    from ipt.operators.fields import SmoothFields
    from ipt.priors.analytic import BoxPrior
    from ipt.priors.smooth import SmoothPrior

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for length in LENGTHS:
        fields = SmoothFields(length=length, std=DEVIATION).sample(range(options.count), (1, SIDE, SIDE))
        priors = {"smooth": SmoothPrior(), "given": SmoothPrior(length=length, std=DEVIATION), "box": BoxPrior(0, 1)}
        for level in LEVELS:
            row = {"length": length, "level": level}
            for name, prior in priors.items():
                normalization = prior.normalization(tuple(fields.shape[1:]))
                noise = torch.randn(fields.shape, generator=torch.Generator().manual_seed(1))
                found = prior.denoise(normalization.normalized(fields) + level * noise, level)
                error = normalization.physical(found) - fields
                row[name] = float(error.square().mean((1, 2, 3)).sqrt().mean())
            rows.append(row)
            print(row, flush=True)
    options.out.write_text(json.dumps({"count": options.count, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
