"""What a kernel for each part of the frame makes of what was found with one.

    python benchmarks/localized.py --pictures bsds500/train --indices 0 1 2 3 --out results/localized.json

Pictures of the protocol `photographs` with kernels and cuts of their own, blind, one draw, told a noise of .007; one
kernel first, then `ipt.sampling.continuing` from there, whatever the evidence says. A row a picture: both results and
that with the true kernel, registered; the kernels' MNC (of several that of their mean); the evidence; the processor's
seconds. Rows are written as they are found, and what is there is not solved again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import torch

NOISE, SIDE = 0.007, 256
FIRST = 2000
"""Index of the protocol's data that picture 0 has: those of the protocol itself begin with 0."""


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--indices", type=int, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    from ipt.images import files

    torch.set_num_threads(1)
    paths = files.inputs(options.pictures)
    rows: dict[str, dict[str, Any]] = json.loads(options.out.read_text())["rows"] if options.out.is_file() else {}
    for index in options.indices:
        if str(index) not in rows:
            rows[str(index)] = row = solved(paths[(index * 37 + 5) % len(paths)], index)
            told = {"pictures": str(options.pictures), "noise": NOISE, "side": SIDE}
            options.out.write_text(json.dumps({"options": told, "rows": rows}, indent=1) + "\n")
            print(index, *(f"{name} {value}" for name, value in row.items() if name != "evidence"), flush=True)


def solved(path: Path, index: int) -> dict[str, Any]:
    """A row."""
    import ipt
    from ipt.bench import photographs
    from ipt.core.observation import Observation
    from ipt.linalg.random import image_seed
    from ipt.operators.shake import Shake
    from ipt.sampling.continuing import Continued
    from ipt.sampling.localizing import schedule
    from ipt.solve import metrics

    blind, known = (
        ipt.build(operator="blur", prior="natural", known=given, precision="bf16") for given in ((), ("kernel",))
    )
    taken = photographs.photograph(path, FIRST + index, SIDE)
    measured = taken.measurement[None]

    def psnr(image: torch.Tensor) -> float:
        return round(metrics.against_reference(image.clamp(0, 1), taken.truth, max_shift=4)["psnr_registered"], 3)

    def row_of(solution: Any, began: float) -> dict[str, Any]:
        (assessment,), kernels = solution.assessments, solution.parameters["kernel"]
        mnc = float(metrics.kernel_mnc(kernels[0].mean(0, keepdim=True), taken.kernel))
        seconds = round(time.process_time() - began, 2)
        return {
            "psnr": psnr(solution.image[0]),
            "mnc": round(mnc, 4),
            "said": round(assessment.probability, 4),
            "sparsity": round(assessment.evidence["sparsity"], 5),
            "s": seconds,
        }

    began, levels, trace = time.process_time(), blind.problem(measured, NOISE), []
    for state in blind.steps(levels, [index]):
        trace.append(state.residual)
    one = blind.solution(levels, state, trace)
    first = row_of(one, began)
    began, operator = time.process_time(), blind.solver.operator
    goes_on = operator.local(one.assessments[0], one.parameters, (3, SIDE, SIDE)) is not None
    kernel = one.parameters["kernel"]
    solver = dataclasses.replace(blind.solver, schedule=schedule(blind.solver))
    local = Continued.of(solver, Shake(2, tuple(kernel.shape[-2:])), Observation.checked(measured, NOISE))
    assert local is not None
    start, trace = {"kernel": (kernel / kernel.amax((-2, -1), keepdim=True)).repeat(1, 4, 1, 1)}, []
    for last in local.steps(one.whole, start, image_seed(index, "local"), state.rivals):
        trace.append(last.residual)
    second = row_of(local.solver.solution(local.problem, last, trace), began)
    return {
        "kind": taken.kind,
        "side": taken.kernel.shape[-1],
        "rotation": photographs.ROTATIONS[(FIRST + index) % 3],
        "measured": psnr(taken.measurement),
        "known": psnr(known.solve(measured, NOISE, {"kernel": taken.kernel[None]}, [index]).image[0]),
        "one": first,
        "several": second,
        "locality": round(one.assessments[0].evidence["locality"], 5),
        "goes on": goes_on,
    }


if __name__ == "__main__":
    main()
