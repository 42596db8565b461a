"""The priors that ship with ipt, trained on a lent accelerator: each for a given time, several at once or in turn.

    python benchmarks/train_priors.py natural-high natural kernel --data DATA --out OUT --minutes 10 6 7
    python benchmarks/train_priors.py faces64 faces128 faces256 --data DATA --out OUT --minutes 4 2 2

DATA holds photographs/ (files of any size), faces64.npy, faces128.npy and faces256.npy (uint8, the held-out ones
first). Torch, numpy and Pillow are all that is needed there. The rate falls to 0 at the end of the time, however many
examples that is; a training that is killed goes on with what is left of its time. What is written is OUT/NAME/state.pt;
`ipt train -o OUT/NAME --export` makes weights of it. With --tiny everything runs for seconds on a CPU.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CROPPED = {"norm": "pixel", "attention": False, "blocks": 1}
DETAIL = {"attention": False, "multipliers": [1, 2, 3], "blocks": 1}
JOBS: dict[str, dict[str, Any]] = {
    # Above about 50 of 255: what is to be seen is large, so the network looks far and the crops are large.
    "natural-high": {
        "source": {"photographs": "photographs", "size": 96, "held_out": 24},
        "network": {**CROPPED, "width": 64, "multipliers": [1, 2, 2, 3]},
        "training": {"batch": 128, "rate": 1.5e-3, "sigma_mean": -0.2, "sigma_std": 1.3},
    },
    # From there on at all levels.
    "natural": {
        "source": {"photographs": "photographs", "size": 96, "held_out": 24},
        "start": "natural-high",
        "network": {},
        "training": {"batch": 128, "rate": 1.2e-3, "sigma_mean": -1.4, "sigma_std": 1.5},
    },
    "faces64": {
        "source": {"pictures": "faces64.npy", "held_out": 644},
        "network": {"width": 64, "multipliers": [1, 2, 3], "blocks": 2},
        "training": {"batch": 256, "rate": 2e-3, "sigma_mean": -0.8, "sigma_std": 1.4, "warmup": 60_000},
    },
    "faces128": {
        "source": {"pictures": "faces128.npy", "held_out": 644},
        "refine": "faces64",
        "network": {**DETAIL, "width": 48},
        "training": {"batch": 128, "rate": 1.5e-3, "sigma_mean": -1.2, "sigma_std": 1.4, "warmup": 60_000},
    },
    "faces256": {
        "source": {"pictures": "faces256.npy", "held_out": 144},
        "refine": "faces128",
        "network": {**DETAIL, "width": 32},
        "training": {"batch": 64, "rate": 1.5e-3, "sigma_mean": -1.5, "sigma_std": 1.4},
    },
    "kernel": {
        "source": {"generator": "kernels"},
        "network": {"width": 48, "multipliers": [1, 2, 3]},
        "training": {
            "batch": 256,
            "rate": 1.5e-3,
            "sigma_mean": -0.8,
            "sigma_std": 1.4,
            "workers": 8,
            "compile": False,
        },
    },
}


def main() -> None:
    """Train what is named, in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=list(JOBS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="+", required=True, help="one for all, or one each")
    parser.add_argument("--workers", type=int, help="processes that draw kernels")
    parser.add_argument("--tiny", action="store_true", help="a tiny network on the CPU, to try the script")
    given = parser.parse_args()
    minutes = given.minutes * (len(given.names) if len(given.minutes) == 1 else 1)
    for name, length in zip(given.names, minutes, strict=True):
        job = described(name, given.data, given.out, given.tiny)
        if given.workers is not None and "workers" in job["training"]:
            job["training"]["workers"] = given.workers
        train(name, job, 60 * length)


def described(name: str, data: Path, out: Path, tiny: bool) -> dict[str, Any]:
    """The job as `ipt.training.job` takes it."""
    job = {key: dict(value) if isinstance(value, Mapping) else value for key, value in JOBS[name].items()}
    job["out"] = str(out / name)
    source = job["source"]
    for kind in ("photographs", "pictures"):
        if kind in source:
            source[kind] = str(data / source[kind])
    for key in ("start", "refine"):
        if key in job:
            job[key] = str(out / job[key] / "state.pt")
    # Saved by time, not by count; validated at the end.
    always = {"precision": "bf16", "device": "auto", "compile": True, "save_every": 10**9, "validate_every": 10**9}
    job["training"] = {**always, "warmup": 100_000, "images": 10**9, **job["training"]}
    if tiny:
        job["network"] |= {"width": 8, "blocks": 1}
        job["training"] |= {"batch": 4, "compile": False, "validation_images": 8, "precision": "fp32"}
        source |= {"held_out": 2} if "held_out" in source else {}
    return job


def train(name: str, job: Mapping[str, Any], seconds: float) -> None:
    """Train for so many seconds from the first step that is done (compiling takes a minute), and validate."""
    import torch

    from ipt.training.job import trainer as trainer_of

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    # Else what was compiled for the training before would be compiled anew for any shape, which took minutes.
    torch.compiler.reset()
    trainer = trainer_of(job, accept_changes=True, log=lambda line: print(f"{name}: {line}", flush=True))
    began = saved = shown = None
    for report in trainer.steps():
        now = time.monotonic()
        if began is None:
            began = saved = shown = now
        share = (now - began) / seconds
        if share < 1 and not report.validation:
            # As many in all as there will be at this pace: so the rate follows the time.
            object.__setattr__(
                trainer.options, "images", max(int(trainer.images / max(share, 1e-3)), trainer.images + 1)
            )
        else:
            object.__setattr__(trainer.options, "images", trainer.images)
        if now - saved > 60:
            trainer.save()
            saved = now
        if now - shown > 20 or report.validation:
            print(
                f"{name}: {now - began:.0f} s, {report.images:,} examples, {report.rate:.0f}/s, loss {report.loss:.4f}",
                flush=True,
            )
            shown = now
        if report.validation:
            print(name, {level: round(error, 6) for level, error in report.validation.items()}, flush=True)


if __name__ == "__main__":
    main()
