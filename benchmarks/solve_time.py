"""What a blind solve of a photograph takes, in the networks and outside of them, by several versions of ipt in turn.

    python benchmarks/solve_time.py --pictures bsds500/train --versions 14a9722=../old now=. --out results/time.json

One draw of `blur` with `natural`, by each version's defaults, of a picture of the protocol `photographs`, on a thread.
A version is a name and a checkout. Times are those of the processor and not of the clock, so that other work beside it
changes little; each version is a process of its own, one after the other, picture by picture.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path


def measured(pictures: Path, index: int, side: int) -> dict[str, object]:
    """A row of the version that is imported: seconds in all and in networks, and what came out."""
    import torch

    import ipt
    from ipt.bench import photographs
    from ipt.images import files
    from ipt.images.files import Picture
    from ipt.priors.network import NetworkPrior
    from ipt.solve import metrics
    from ipt.solve.batches import solve_tasks
    from ipt.solve.options import SolveOptions
    from ipt.solve.prepare import ImageTask, prepare

    try:
        from ipt.solve.sizer import BatchSizer
    except ImportError:  # Versions before 87cd747 have it beside `solve_tasks`.
        from ipt.solve.batches import BatchSizer

    torch.set_num_threads(1)
    spent, estimate = {"networks": 0.0}, NetworkPrior._estimate

    def timed(self, noisy, sigma):
        began = time.process_time()
        found = estimate(self, noisy, sigma)
        spent["networks"] += time.process_time() - began
        return found

    NetworkPrior._estimate = timed
    (precision,) = (field.default for field in fields(SolveOptions) if field.name == "precision")
    solver = ipt.build(operator="blur", prior="natural", precision=precision)
    one = photographs.photograph(photographs.source(files.inputs(pictures), index, 40), index, side)
    began = time.process_time()
    task = prepare(solver.solver, ImageTask(Picture(one.measurement), f"photograph{index}", None)).sampling
    task = replace(task, **({"reserve": ()} if "reserve" in {field.name for field in fields(task)} else {}))
    (solution,) = solve_tasks([task], BatchSizer(1))
    seconds = time.process_time() - began
    scores = metrics.against_reference(solution.image[0].clamp(0, 1), one.truth, max_shift=4)
    return {
        "index": index,
        "side": side,
        "precision": precision,
        "seconds": round(seconds, 2),
        "networks": round(spent["networks"], 2),
        "psnr_registered": round(scores["psnr_registered"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--indices", type=int, nargs="+", default=[3])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--versions", nargs="+", default=["now=."], metavar="NAME=CHECKOUT")
    parser.add_argument("--out", type=Path, help="rows that are there already stay")
    parser.add_argument("--one", action="store_true", help="of the version that is imported, as a line of JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(options.pictures, options.indices[0], options.side)))
        return
    rows = json.loads(options.out.read_text())["rows"] if options.out and options.out.exists() else []
    for index in options.indices:
        for name, checkout in (one.split("=", 1) for one in options.versions):
            command = [sys.executable, __file__, "--pictures", str(options.pictures), "--indices", str(index)]
            command += ["--side", str(options.side), "--one"]
            place = {**os.environ, "PYTHONPATH": str(Path(checkout).resolve()), "OMP_NUM_THREADS": "1"}
            printed = subprocess.run(command, env=place, check=True, capture_output=True, text=True).stdout
            rows.append({"version": name, **json.loads(printed)})
            print(rows[-1], flush=True)
            if options.out:
                options.out.write_text(json.dumps({"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
