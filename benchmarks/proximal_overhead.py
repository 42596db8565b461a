"""What `proximal` costs beside its networks: its time outside them, and its peak memory over a plain forward pass.

    python benchmarks/proximal_overhead.py

One thread, the shipped priors at their own size, float32. Each figure is of a process of its own, so that memory
peaks do not mix.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import replace


def measure(border: str, batch: int) -> dict:
    import torch

    import ipt
    from ipt.core.prior import Posterior, Prior

    torch.set_num_threads(1)
    spent = {"networks": 0.0}

    class Timed(Prior):
        def __init__(self, inner: Prior):
            self.inner = inner

        def normalization(self, shape):
            return self.inner.normalization(shape)

        def denoise(self, noisy, sigma):
            return self.posterior(noisy, sigma).mean

        def posterior(self, noisy, sigma) -> Posterior:
            began = time.perf_counter()
            result = self.inner.posterior(noisy, sigma)
            spent["networks"] += time.perf_counter() - began
            return result

    measured = torch.rand(batch, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    if border == "forward":
        solver = ipt.build(operator="blur", prior="faces")
        with torch.no_grad():
            solver.solver.priors["image"].denoise(measured, 1.0)
        return {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    solver = ipt.build(operator="blur", prior="faces", settings={"operator.border": border})
    priors = {name: Timed(prior) for name, prior in solver.solver.priors.items()}
    timed = ipt.Multiscale(replace(solver.solver, priors=priors))
    timed.solve(measured[:1], 0.01)
    spent["networks"] = 0.0
    began = time.perf_counter()
    timed.solve(measured, 0.01)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "outside": 1 - spent["networks"] / seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
        return
    for batch in (1, 8):
        rows = {}
        for border in ("forward", "circular", "unknown"):
            command = [sys.executable, __file__, border, str(batch)]
            rows[border] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        base = rows.pop("forward")["peak_mib"]
        for border, row in rows.items():
            print(
                f"batch {batch}, {border}: {row['seconds']:.1f} s, {100 * row['outside']:.1f} % outside the networks, "
                f"peak memory {row['peak_mib'] / base:.2f} of a forward pass's ({base:.0f} MiB)",
                flush=True,
            )


if __name__ == "__main__":
    main()
