"""The figures in the sentences of the pages, made from the files in benchmarks/results; tables.py writes them.

    python benchmarks/figures.py    # lists them all

On a page a figure is followed by a mark that no reader sees, `29.4<!-- coarse to fine.psnr -->`: the group and the
figure of it. A group is a function here, or an entry of benchmarks/results/recorded.json: figures of commands that keep
no rows, with the command, the commit and the machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import solved_photographs
import verdict

Row = dict[str, Any]


def result(name: str) -> Any:
    """A file of results, by its name without suffix."""
    return json.loads((Path(__file__).with_name("results") / f"{name}.json").read_text(encoding="utf-8"))


def short(number: float | str, digits: int | None = None) -> str:
    """With so many digits after the point, and no 0 before it."""
    text = str(number) if digits is None else f"{number:.{digits}f}"
    return re.sub(r"(?<![\d.])0(?=\.\d)", "", text)


def mean(rows: Iterable[Row], key: str, digits: int) -> str:
    """Of a column."""
    return short(float(np.mean([row[key] for row in rows])), digits)


def counted(number: int) -> str:
    """A small number as a word."""
    words = "none one two three four five six seven eight nine ten eleven twelve".split()
    return words[number] if number < len(words) else str(number)


def blind_faces() -> dict[str, str]:
    circular, unknown = result("prox_motion_circular"), result("prox_motion_reflect_unknown")
    dps, beside = result("dps_motion_circular"), result("prox_motion_circular_20")
    return {
        "circular": mean(circular["rows"], "psnr", 1),
        "circular MNC": mean(circular["rows"], "mnc", 3),
        "unknown": mean(unknown["rows"], "psnr", 1),
        "unknown MNC": mean(unknown["rows"], "mnc", 3),
        "registered": mean(unknown["rows"], "psnr_registered", 1),
        "faces": str(len(unknown["rows"])),
        "worse": counted(sum(row["psnr"] < row["psnr_measurement"] for row in unknown["rows"])),
        "times dps": f"{dps['seconds'] / beside['seconds']:.0f}",
    }


def known_kernel() -> dict[str, str]:
    rows = result("known_kernel")["rows"]
    return {
        "worse": counted(sum(row["cut"] < row["measured"] for row in rows)),
        "border costs": counted(sum(row["whole"] - row["cut"] > 0.3001 for row in rows)),
    }


def coarse_to_fine() -> dict[str, str]:
    whole, one = result("faces256")["rows"], result("faces256_at_one_size")["rows"]
    times = np.mean([row["seconds"] for row in whole]) / np.mean([row["seconds"] for row in one])
    return {"psnr": mean(whole, "psnr", 1), "one size": mean(one, "psnr", 1), "time": short(float(times), 2)}


def least_noise() -> dict[str, str]:
    found = {}
    for name, file in (("blind", "noise_.002"), ("blind .004", "noise_.004"), ("known", "known_noise_.002")):
        for told, suffix in (("true", ""), ("least", "_told_.007")):
            rows = result(f"photographs_{file}{suffix}")["rows"]
            found[f"{name} {told}"] = mean(rows, "psnr", 1)
            found[f"{name} {told} registered"] = mean(rows, "psnr_registered", 1)
    return found


def steps() -> dict[str, str]:
    return {str(count): mean(result(f"photographs_train_{count}")["rows"], "psnr_registered", 1) for count in (60, 100)}


def shake() -> dict[str, str]:
    """Pictures of 256x256 (`turned`, `shifted`) and of 384x384."""
    found = {}
    for suffix, file, tiles in (("", "shake", 4), (" 384", "shake_384", 6)):
        rows = result(file)["rows"]
        for data in ("turned", "shifted"):
            blur, tiled = (
                {row["index"]: row for row in rows if case.items() <= row.items()}
                for operator, count in (("blur", 1), ("shake", tiles))
                for case in [{"operator": operator, "tiles": count, "data": data, "known": False}]
            )
            gains = np.array([row["psnr_registered"] - blur[index]["psnr_registered"] for index, row in tiled.items()])
            found |= {
                f"{data}{suffix} blur": mean(blur.values(), "psnr_registered", 1),
                f"{data}{suffix} gain": short(float(gains.mean()), 1),
                f"{data}{suffix} most": short(float(gains.max()), 1),
                f"{data}{suffix} least": short(float(gains.min()), 1).replace("-", ""),
                f"{data}{suffix} better": counted(int((gains > 0).sum())),
                f"{data}{suffix} worse": counted(int((gains < 0).sum())),
                f"{data}{suffix} pictures": counted(len(gains)),
            }
            if suffix:
                times = [row["seconds"] / blur[index]["seconds"] for index, row in tiled.items()]
                found[f"{data}{suffix} time"] = short(float(np.mean(times)), 1)
    true = [row for row in result("shake")["rows"] if row["known"] and row["data"] == "shifted"]
    return {**found, "true kernel": mean(true, "psnr_registered", 1)}


def denoising() -> dict[str, str]:
    found = result("denoising")
    seconds = [row["seconds"] for row in found["results"] if row["method"] == "natural"]
    return {"seconds": short(min(seconds) / len(found["pictures"]), 2)}


def grey_denoising() -> dict[str, str]:
    """Of grey pictures, with noise in chrominance and without."""
    found = result("denoising_grey")
    sizes = {"natural": "now", "copied": "before"}
    each = {
        f"{sizes[row['method']]} {row['level']}": short(float(np.mean(row["psnr"])), 1 if row["level"] > 255 else 2)
        for row in found["results"]
        if row["method"] in sizes
    }
    return {"pictures": str(len(found["pictures"])), **each}


def _area(right: np.ndarray, predicted: np.ndarray) -> str:
    """Under the curve."""
    above, below = predicted[right][:, None], predicted[~right][None]
    return short(float(((above > below) + 0.5 * (above == below)).mean()), 2)


def _areas(rows: list[Row], predicted: np.ndarray) -> dict[str, str]:
    """Areas under the curve, and how many are right."""
    kernel, image = verdict.truths(rows).values()
    found = {"solves": str(len(rows)), "said": short(float(predicted.mean()), 2)}
    for name, right in (("kernel", kernel), ("image", image), ("both", kernel & image)):
        found[name] = _area(right, predicted)
    return {**found, "right": str((kernel & image).sum()), "share right": short(float((kernel & image).mean()), 2)}


def verdict_fit() -> dict[str, str]:
    found = result("verdict_fit")
    return {name: short(area, 2) for name, area in found["areas"].items()} | {
        "solves": str(sum(each["solves"] for each in found["bins"]))
    }


def verdict_validation() -> dict[str, str]:
    from ipt.operators.blur.assessment import probability

    rows = list(result("verdict_rows_val").values())
    return _areas(rows, np.array([probability(row["evidence"]) for row in rows]))


def verdict_draws() -> dict[str, str]:
    """Draws of validation pictures beside each other, and alone."""
    rows = result("verdict_draws_val")
    draws, alone, together = verdict.judged(rows)
    single = {f"alone {name}": area for name, area in _areas(draws, alone).items()}
    return {"pictures": str(len(rows)), **_areas(draws, together), **single}


def photographs() -> dict[str, str]:
    """Of whole solves with defaults; the area under the curve of what is said, for errors within twice."""
    rows = result("photographs_256")["rows"]
    right = np.array([row["new"] > row["known"] - solved_photographs.TWICE for row in rows])
    said = np.array([row["new likely"] for row in rows])
    gain = np.mean([row["new"] - row["old"] for row in rows])
    narrow, wide = [row for row in rows if row["side"] <= 13], [row for row in rows if row["side"] >= 25]
    sized = {
        f"{words}{part}": mean(some, run, 1)
        for words, some in (("narrow", narrow), ("wide", wide))
        for run, part in (("new", ""), ("one", " one"), ("before", " before"))
    }
    # Every third was not turned (`ipt.bench.photographs.ROTATIONS`).
    for words, still in (("turned gain", False), ("still gain", True)):
        some = [row["new"] - row["one"] for row in rows if (row["index"] % 3 == 0) == still]
        sized[words] = short(round(float(np.mean(some)), 1) + 0.0, 1)
    return {
        **sized,
        "area": _area(right, said),
        "pictures": str(len(rows)),
        "gain": short(float(gain), 1),
        "said": short(float(said.mean()), 2),
        "right": short(float(right.mean()), 2),
    }


def _side_by_side(runs: dict[str, str]) -> dict[str, str]:
    """Of two runs over the same pictures, {what figures begin with: file}, the later one last."""
    rows = {name: result(file)["rows"] for name, file in runs.items()}
    before, now = rows.values()
    better = sum(two["psnr_registered"] > one["psnr_registered"] for one, two in zip(before, now, strict=True))
    found = {"pictures": str(len(now)), "better": str(better)}
    for name, each in rows.items():
        found[f"{name}psnr"] = mean(each, "psnr_registered", 1)
        found[f"{name}mnc"] = mean(each, "mnc", 2)
    return found


def spread() -> dict[str, str]:
    """Training photographs, with the image's mean and with draws of it."""
    return _side_by_side({"mean ": "photographs_train_spread_0", "drawn ": "photographs_train_spread_.3"})


def pedestal() -> dict[str, str]:
    """Training photographs, with the pedestal of estimated kernels and a smaller draw, and without."""
    return _side_by_side({"before ": "photographs_train_pedestal", "": "photographs_train_pedestal_none"})


def compressed() -> dict[str, str]:
    """Known kernels: of pictures that were saved as JPEG and of those that were not, by 250bcb7 and now."""
    now, before = result("compressed")["rows"], result("compressed_before")["rows"]
    found = {"pictures": str(len({row["picture"] for row in now}))}
    for words, is_jpeg in (("jpeg ", True), ("", False)):
        for run, rows in (("before", before), ("now", now)):
            found[f"{words}{run}"] = mean([row for row in rows if (row["quality"] is not None) == is_jpeg], "known", 1)
    gains = [one["known"] - other["known"] for one, other in zip(now, before, strict=True) if one["quality"]]
    return {**found, "best": short(max(gains), 1), "worst": short(round(min(gains), 1) + 0.0, 1)}


def _kept_apart(**runs: tuple[str, str, str]) -> dict[str, str]:
    """Blind solves of validation pictures before and after a change; runs: column and files of results, by words."""
    found = {}
    for words, (column, before, now) in runs.items():
        start, both = words and f"{words} ", [result(file)["rows"] for file in (before, now)]
        for run, rows in zip(("before", "now"), both, strict=True):
            found[f"{start}{run}"], found[f"{start}pictures"] = mean(rows, column, 1), str(len(rows))
            right = [row[column] > row["known"] - solved_photographs.TWICE for row in rows]
            found[f"{start}{run} right"] = str(sum(right))
        gains = [now[column] - before[column] for before, now in zip(*both, strict=True)]
        found[f"{start}median"] = short(float(np.median(gains)), 1)
        found[f"{start}best"], found[f"{start}worst"] = short(max(gains), 1), short(-min(gains), 1)
    return found


def search() -> dict[str, str]:
    """By 1dba783 (e848a43 solves alike) and with twice the steps in the smallest picture, 7f52f7b."""
    protocol = ("new", "photographs_search_before", "photographs_search")
    return _kept_apart(**{"": protocol, "grey": ("blind", "grey_shakes_before", "grey_shakes")})


def path() -> dict[str, str]:
    """By 7f52f7b and with kernels held to their path (of colour pictures too: 8bd5b93; of grey ones: 10c3b7a)."""
    protocol = ("new", "photographs_search", "photographs_path")
    return _kept_apart(**{"": protocol, "grey": ("blind", "grey_shakes", "grey_path")})


def chrominance() -> dict[str, str]:
    """Grey pictures by 10c3b7a, and with noise in chrominance (and moved kernels without dots), 91d08dc."""
    runs = "grey_path", "grey_chrominance"
    known = [np.mean([row["known"] for row in result(file)["rows"]]) for file in runs]
    return {**_kept_apart(**{"": ("blind", *runs)}), "known gain": short(float(known[1] - known[0]), 1)}


def half_size() -> dict[str, str]:
    """Large photographs, by a region and by half their sides first."""
    rows = result("half_size")["rows"]
    found = {"pictures": str(len(rows))}
    for words, low, high in (("", 0, 99), ("narrow ", 0, 25), ("middle ", 25, 40), ("wide ", 40, 99)):
        chosen = [row for row in rows if low < row["side"] < high]
        for name in ("measured", "region", "auto"):
            found[f"{words}{name}"] = mean(chosen, name, 1)
    for name in ("region", "half"):
        found[f"{name} seconds"] = mean(rows, f"{name} s", 0)
    gains = [row["auto"] - row["region"] for row in rows]
    return {**found, "best": short(max(gains), 1), "worst": short(-min(gains), 1)}


def enlarged() -> dict[str, str]:
    """Photographs of several megapixels, by a region and by the usual way, which may be to enlarge."""
    rows = result("enlarged")["rows"]
    # With another blur it was among the four that `WIDE` was chosen on.
    unseen = [row for row in rows if row["picture"] != "OneStandsOut"]
    found = {"pictures": str(len(rows)), "enlarged": str(sum(row["enlarged"] > 1 for row in rows))}
    found["unseen"] = str(len(unseen))
    narrow, wide = ([row for row in rows if (row["side"] >= 40) is is_wide] for is_wide in (False, True))
    for words, chosen in (("", rows), ("unseen ", unseen), ("narrow ", narrow), ("wide ", wide)):
        for name in ("measured", "region", "auto"):
            found[f"{words}{name}"] = mean(chosen, name, 1)
    for name in ("region", "auto"):
        found[f"{name} seconds"] = mean(rows, f"{name} s", 0)
    return {**found, "best": short(max(row["auto"] - row["region"] for row in rows), 1)}


def localized() -> dict[str, str]:
    """Training photographs, with one kernel and gone on with several."""
    rows = list(result("localized")["rows"].values())
    gain = np.array([row["several"]["psnr"] - row["one"]["psnr"] for row in rows])
    goes = np.array([row["goes on"] for row in rows])
    sparser = np.array([row["several"]["sparsity"] <= row["one"]["sparsity"] for row in rows])
    kept, turned = goes & sparser, np.array([row["rotation"] > 0 for row in rows])
    ended = [row["several" if several else "one"] for row, several in zip(rows, kept, strict=True)]
    right = np.array([one["mnc"] > verdict.RIGHT for one in ended])
    within = [one["psnr"] > row["known"] - solved_photographs.TWICE for one, row in zip(ended, rows, strict=True)]
    return {
        "pictures": str(len(rows)),
        "going on": str(goes.sum()),
        "kept": str(kept.sum()),
        "known": mean(rows, "known", 2),
        "one": mean([row["one"] for row in rows], "psnr", 2),
        "all": mean([row["several"] for row in rows], "psnr", 2),
        "ended": mean(ended, "psnr", 2),
        "turned gain": short(gain[kept & turned].mean(), 1),
        "still gain": short(gain[kept & ~turned].mean(), 1),
        "gain of others": short(gain[~kept].mean(), 1),
        "worst": short(-gain[kept].min(), 1),
        "best": short(gain[kept].max(), 1),
        "time": short(float(np.mean([row["several"]["s"] / row["one"]["s"] for row in rows])), 2),
        "area": _area(right, np.array([one["said"] for one in ended])),
        "one area": _area(
            np.array([row["one"]["mnc"] > verdict.RIGHT for row in rows]),
            np.array([row["one"]["said"] for row in rows]),
        ),
        "right": short((right & within).mean(), 2),
        "said": mean(ended, "said", 2),
    }


def examples() -> dict[str, str]:
    """Of each package: errors of a solve's root mean square, over all solves, in 40 steps."""
    found = {}
    for package, (run, *_) in result("examples")["runs"].items():
        rows, name = run["rows"], package.removeprefix("ipt-")
        found[f"{name} seconds"] = f"{run['seconds']:.0f}"
        for key in ("psnr", "psnr_known"):
            found[f"{name} {key}"] = mean(rows, key, 1)
        for each in run["parameters"]:
            errors = np.array([row[f"{each}_rms"] for row in rows])
            found |= {
                f"{name} {each}": short(float(f"{np.median(errors):.2g}")),
                f"{name} {each} worst": short(float(f"{errors.max():.2g}")),
                f"{name} {each} small by": short(-float(np.mean([row[f"{each}_mean"] for row in rows])), 2),
            }
    return found


def fog() -> dict[str, str]:
    """Medians over the cases, of errors over the deviation of the true map, about its own mean or about that of all."""
    found = result("fog")
    rows, draws = found["rows"], len(found["rows"][0]["draws"])
    each = [error for row in rows for error in row["draws"]]
    of_all = [row["mean"] / row["constant"] for row in rows]
    medians = {key: float(np.median([row[key] for row in rows])) for key in ("mean", "constant")}
    return {
        "cases": str(len(rows)),
        "draws": counted(draws),
        "draw": short(float(np.median(each)), 2),
        "mean": short(medians["mean"], 2),
        "constant": short(medians["constant"], 2),
        "least": short(min(row["mean"] for row in rows), 2),
        "most": short(max(row["mean"] for row in rows), 2),
        "half": counted(sum(row["mean"] <= 0.5 for row in rows)),
        "draw of all": short(float(np.median([error / row["constant"] for row in rows for error in row["draws"]])), 2),
        "mean of all": short(float(np.median(of_all)), 2),
        "half of all": counted(sum(ratio <= 0.5 for ratio in of_all)),
    }


def recorded() -> dict[str, dict[str, str]]:
    """Figures that were written down, by group."""
    return {
        name: {key: short(value) for key, value in entry["figures"].items()}
        for name, entry in result("recorded").items()
    }


def natural() -> dict[str, str]:
    """Photographs by the prior `natural` as it was at 706ff69 and as it is, each by the present solver."""
    return {
        f"{told} {version}": mean(result(f"photographs_natural_{told}_{version}")["rows"], "psnr_registered", 2)
        for told in ("known", "blind")
        for version in ("old", "new")
    }


def solve_time() -> dict[str, str]:
    """Of the last version and the first, over the pictures; and of that with one kernel."""
    rows = result("solve_time")["rows"]
    now, one, before = (
        float(np.mean([row["seconds"] for row in rows if row["version"] == version]))
        for version in (rows[-1]["version"], "79bcc06", rows[0]["version"])
    )
    return {"seconds": f"{now:.0f}", "of before": short(now / before, 2), "one": short(one / before, 2)}


def faces_samples() -> dict[str, str]:
    """Of unguided samples by `faces`."""
    found = result("faces_samples")
    return {
        "samples": f"{found['samples']:,}",
        "reference": f"{found['reference']:,}",
        "fid": f"{found['fid']:.1f}",
        "of real pictures": f"{found['fid_of_real_pictures']:.1f}",
        "nearest": short(found["nearest_rms_median"]["samples"], 3),
        "nearest held out": short(found["nearest_rms_median"]["held_out"], 3),
    }


GROUPS: dict[str, Callable[[], dict[str, str]]] = {
    "natural": natural,
    "faces samples": faces_samples,
    "solve time": solve_time,
    "blind faces": blind_faces,
    "known kernel": known_kernel,
    "coarse to fine": coarse_to_fine,
    "least noise": least_noise,
    "steps": steps,
    "shake": shake,
    "denoising": denoising,
    "grey denoising": grey_denoising,
    "verdict fit": verdict_fit,
    "verdict validation": verdict_validation,
    "verdict draws": verdict_draws,
    "photographs": photographs,
    "spread": spread,
    "pedestal": pedestal,
    "localized": localized,
    "compressed": compressed,
    "half size": half_size,
    "search": search,
    "path": path,
    "chrominance": chrominance,
    "enlarged": enlarged,
    "examples": examples,
    "fog": fog,
}


def figures() -> dict[str, str]:
    """All, as `group.figure`."""
    groups = {name: group() for name, group in GROUPS.items()} | recorded()
    return {f"{group}.{name}": value for group, found in groups.items() for name, value in found.items()}


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{value:8} {name}")
