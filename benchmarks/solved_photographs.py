"""The pictures of the protocol `photographs` as files, for the command line or any other solver, and what came of them.

    python benchmarks/solved_photographs.py make --pictures bsds500/val --folder work
    ipt solve work/in --operator blur --prior natural -o work/new
    python benchmarks/photographs.py --pictures bsds500/val --known --out work/known.json
    python benchmarks/solved_photographs.py score --pictures bsds500/val --folder work --known work/known.json

A row a picture: PSNR registered to the truth within 4 px, of what was measured, of each run (a folder of results of
the pictures' names), and of the solver that was told the kernel; where a run says it, how likely it is right.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIDE, COUNT = 256, 40
TWICE = 10 * np.log10(2)
"""dB: squared error at most twice that with the true kernel."""


def made(pictures: Path) -> list[Any]:
    from ipt.bench import photographs
    from ipt.images import files

    paths = files.inputs(pictures)
    photographs.check_pictures(paths)
    return [photographs.photograph(photographs.source(paths, index, COUNT), index, SIDE) for index in range(COUNT)]


def pixels(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB")) / 255).permute(2, 0, 1).float()


def make(pictures: Path, folder: Path) -> None:
    (folder / "in").mkdir(parents=True, exist_ok=True)
    for index, one in enumerate(made(pictures)):
        stored = (255 * one.measurement).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(stored).save(folder / "in" / f"p{index:02}.png")
    print(f"{COUNT} pictures are in {folder / 'in'}")


def scored(pictures: Path, folder: Path, runs: list[str], known: Path | None) -> list[dict[str, Any]]:
    from ipt.solve import metrics

    told = {row["index"]: row for row in json.loads(known.read_text())["rows"]} if known else {}
    rows = []
    for index, one in enumerate(made(pictures)):
        row: dict[str, Any] = {"index": index, "kind": one.kind, "side": one.kernel.shape[-1]}
        row["measured"] = float(metrics.psnr(one.measurement, one.truth))
        if index in told:
            row["known"] = told[index]["psnr_registered"]
        for run in runs:
            stem = folder / run / f"p{index:02}"
            if not stem.with_suffix(".png").exists():
                continue
            found = metrics.against_reference(pixels(stem.with_suffix(".png")), one.truth, max_shift=4)
            row[run] = found["psnr_registered"]
            if (kernel := stem.with_suffix(".kernel.npy")).exists():
                loaded = torch.from_numpy(np.load(kernel)).float()
                # Of several in their places the mean.
                row[f"{run} mnc"] = float(metrics.kernel_mnc(loaded.mean(0, keepdim=True), one.kernel))
            if (record := stem.with_suffix(".json")).exists():
                row[f"{run} likely"] = json.loads(record.read_text()).get("probability")
        rows.append(row)
    return rows


def said(rows: list[dict[str, Any]], runs: list[str]) -> None:
    for run in runs:
        done = [row for row in rows if run in row]
        print(f"{run}: {np.mean([row[run] for row in done]):.2f} dB of {len(done)}, measured ", end="")
        print(f"{np.mean([row['measured'] for row in done]):.2f}; worse than measured by more than .2 dB: ", end="")
        print(sum(row[run] < row["measured"] - 0.2 for row in done), end="")
        compared = [row for row in done if "known" in row]
        if compared:
            within = sum(row[run] > row["known"] - TWICE for row in compared)
            print(f"; within twice the error with the true kernel: {within} of {len(compared)}", end="")
        print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "score"))
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--runs", nargs="+", default=["new"])
    parser.add_argument("--known", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.what == "make":
        make(options.pictures, options.folder)
        return
    rows = scored(options.pictures, options.folder, options.runs, options.known)
    said(rows, options.runs)
    if options.out:
        told = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
        options.out.write_text(json.dumps({"options": told, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
