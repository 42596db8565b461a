"""Text through turbulence: how many characters an OCR reads in a burst's result, its best exposure, and their mean.

    python benchmarks/legibility.py --out results/legibility.json      # needs rapidocr-onnxruntime
    python benchmarks/legibility.py --table results/legibility.json

Three lines of six digits and capitals each, drawn with Pillow's own font, are seen in exposures as `bursts.py` makes
them. The OCR recognises every line by itself, enlarged four times, where the text was drawn; characters count that it
has right in their order (longest common subsequence). `exposure` is the best of them all, chosen by that count: nobody
can choose so well. `mean` and `median` are of registered exposures.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from bursts import AROUND, SIDE, burst, registered
from common import NOISE
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

LETTERS = "ABCDEFGHKLMNPRSTUVXYZ2345679"
"""Without those that an OCR takes for others in any print."""
LINES, LENGTH, SIZE, LEFT, TOP, APART = 3, 6, 14, 14, 12, 38


def page(seed: int) -> tuple[Image.Image, list[str]]:
    """A grey page with dark text in its middle, of the size that a burst is cut from; and the text."""
    rng = np.random.default_rng(seed)
    text = ["".join(rng.choice(list(LETTERS), LENGTH)) for _ in range(LINES)]
    side = SIDE + 2 * AROUND
    drawn = Image.new("RGB", (side, side), (190, 185, 170))
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(size=SIZE)
    for number, line in enumerate(text):
        pen.text((AROUND + LEFT, AROUND + TOP + number * APART), line, (45, 50, 60), font)
    return drawn, text


def read(reader: object, picture: Tensor, text: list[str]) -> int:
    """Characters of the text that are read in a picture (3, SIDE, SIDE)."""
    whole = Image.fromarray((255 * picture.clamp(0, 1)).round().byte().permute(1, 2, 0).numpy())
    right = 0
    for number, line in enumerate(text):
        top = max(0, TOP + number * APART - 6)
        part = whole.crop((4, top, SIDE - 4, top + APART)).resize((4 * SIDE - 32, 4 * APART), Image.Resampling.BICUBIC)
        found, _ = reader(np.array(part), use_det=False, use_cls=False, use_rec=True)
        right += common("".join(found[0][0].split()) if found else "", line)
    return right


def common(first: str, second: str) -> int:
    """The length of the longest common subsequence."""
    lengths = [0] * (len(second) + 1)
    for a in first:
        before = lengths[:]
        for place, b in enumerate(second):
            lengths[place + 1] = before[place] + 1 if a == b else max(before[place + 1], lengths[place])
    return lengths[-1]


def solve(options: argparse.Namespace) -> None:
    from rapidocr_onnxruntime import RapidOCR

    import ipt
    from ipt.operators.frames import Frames
    from ipt.solve.task import SamplingTask
    from ipt.solve.weighing import weighed

    reader, rows = RapidOCR(), []
    built = ipt.build("turbulence", "natural", steps=options.steps)
    solver = ipt.Multiscale(replace(built.solver, operator=Frames(built.solver.operator, options.frames)))
    for index in range(options.count):
        drawn, text = page(index)
        with tempfile.TemporaryDirectory() as folder:
            drawn.save(path := Path(folder) / "page.png")
            true = burst(path, index, options.frames, options.d_over_r0)
        measured, began = true["measured"].flatten(0, 1)[None], time.process_time()
        task = weighed(SamplingTask(solver.solver, measured, NOISE, {}, (index,)))
        image = solver.solve(measured, task.noise, {}, task.seeds, task.mask).image[0]
        row = {"text": text, "characters": LINES * LENGTH, "seconds": time.process_time() - began}
        row |= {"result": read(reader, image, text), "truth": read(reader, true["clean"], text)}
        row |= {name: read(reader, picture, text) for name, picture in registered(true["measured"]).items()}
        row["exposure"] = max(read(reader, one, text) for one in true["measured"])
        rows.append(row)
        print(row, flush=True)
        Path(options.out).write_text(json.dumps({"options": vars(options), "rows": rows}, indent=1))
        if options.pictures:
            shown = [true["clean"], true["measured"][0], registered(true["measured"])["mean"], image]
            sheet = (255 * torch.cat(shown, 2).clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()
            Image.fromarray(sheet).save(Path(options.pictures) / f"{index}.png")


def table(path: str) -> None:
    rows = json.loads(Path(path).read_text())["rows"]
    total = sum(row["characters"] for row in rows)
    for name in ("result", "exposure", "mean", "median", "truth"):
        print(f"{name:9s} {sum(row[name] for row in rows)} of {total}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--d-over-r0", type=float, default=4.0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out")
    parser.add_argument("--pictures", help="a folder for them")
    parser.add_argument("--table", metavar="FILE", help="show these results, and solve nothing")
    options = parser.parse_args()
    if not options.table:
        if not options.out:
            parser.error("give --out, or --table")
        torch.set_num_threads(options.threads)
        solve(options)
    table(options.table or options.out)


if __name__ == "__main__":
    main()
