"""The weights of blur's verdict (`ipt/operators/blur/evidence.json`): which numbers tell right kernels from wrong ones.

    python benchmarks/verdict.py solve --pictures bsds500/train --start 0 --stop 100 --rows rows.json
    python benchmarks/verdict.py fit --rows rows.json --out ipt/operators/blur/evidence.json --diagram diagram.png
    python benchmarks/verdict.py score --rows other.json --diagram diagram.png
    python benchmarks/verdict.py draws --pictures bsds500/train --stop 40 --rows pairs.json
    python benchmarks/verdict.py fit-draws --rows pairs.json --out ipt/operators/blur/evidence.json
    python benchmarks/verdict.py score-draws --rows other.json

`solve`: blind solves of photographs as cameras take them (`ipt.bench.photographs`, with kernels, sizes and cuts of its
own); a row a solve, with its evidence and what the truth says: the kernel's MNC, and the error over that of the same
solver with the true kernel. `fit`: two logistic regressions (scikit-learn), for MNC above .8 and for an error at most
twice the other, and what their product scores on pictures left out (six folds, a picture's solves in one). `score`: of
rows that it was not fitted to.
"""

from __future__ import annotations

import argparse
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

RIGHT = 0.8
"""MNC of the kernel above which it counts as right."""
STRENGTH = 0.1
"""C of the regressions: the smaller, the nearer their weights are to 0."""
OF_KERNEL = ("agreement", "best_agreement", "kernel_border", "kernel_density", "kernel_radius", "rivals_agreement")
"""What the regression for the image does not see: these tell of the kernel alone."""


def solve(options: argparse.Namespace) -> None:
    """Rows start to stop, added to those that are there; one that is there is not solved again."""
    import ipt
    from ipt.bench import photographs
    from ipt.images import files
    from ipt.solve import metrics

    torch.set_num_threads(1)
    paths = files.inputs(options.pictures)
    rows: dict[str, dict[str, Any]] = json.loads(options.rows.read_text()) if options.rows.is_file() else {}
    kinds = {"precision": options.precision, "steps": options.steps}
    blind, known = (ipt.build(operator="blur", prior="natural", known=given, **kinds) for given in ((), ("kernel",)))
    for index in range(options.start, options.stop):
        if str(index) in rows:
            continue
        # Two solves a picture: the index sets the kernel and the cut.
        rng = np.random.default_rng([8, index // 2])
        taken = photographs.photograph(paths[rng.integers(len(paths))], 1000 + index // 2, int(rng.choice([128, 160])))
        measured, noise = taken.measurement[None], max(options.noise, 0.0)
        found = blind.solve(measured, noise, seeds=[index])
        told = known.solve(measured, noise, {"kernel": taken.kernel[None]}, [index])
        psnr = [
            metrics.against_reference(one.image[0].clamp(0, 1), taken.truth, max_shift=4)["psnr_registered"]
            for one in (found, told)
        ]
        rows[str(index)] = {
            "evidence": dict(found.assessments[0].evidence),
            "mnc": float(metrics.kernel_mnc(found.parameters["kernel"][0], taken.kernel)),
            "error_ratio": 10 ** ((psnr[1] - psnr[0]) / 10),
            "picture": index // 2,
        }
        options.rows.write_text(json.dumps(rows))
        print(index, taken.kind, *(f"{value:.2f}" for value in psnr), f"{rows[str(index)]['mnc']:.3f}", flush=True)


def truths(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """What each regression is to tell."""
    return {
        "kernel": np.array([row["mnc"] > RIGHT for row in rows]),
        "image": np.array([row["error_ratio"] <= 2 for row in rows]),
    }


def fit(options: argparse.Namespace) -> None:
    """The weights, and how well such weights do on pictures that they were not fitted to."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = list(json.loads(options.rows.read_text()).values())
    names = sorted(set.intersection(*(set(row["evidence"]) for row in rows)) - {"locality"})
    pictures = [row["picture"] for row in rows]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=5000))
    folds = [StratifiedGroupKFold(6, shuffle=True, random_state=seed) for seed in range(5)]
    predicted, fitted = np.ones(len(rows)), {}
    for told, truth in truths(rows).items():
        used = [name for name in names if told == "kernel" or name not in OF_KERNEL]
        values = np.array([[row["evidence"][name] for name in used] for row in rows])
        each = [
            cross_val_predict(model, values, truth, groups=pictures, cv=fold, method="predict_proba")[:, 1]
            for fold in folds
        ]
        predicted *= np.mean(each, axis=0)
        model.fit(values, truth)
        scaler, regression = model[0], model[1]
        parts = zip(used, scaler.mean_, scaler.scale_, regression.coef_[0], strict=True)
        weights = {name: [round(float(part), 5) for part in three] for name, *three in parts}
        fitted[told] = {"intercept": round(float(regression.intercept_[0]), 5), "weights": weights}
    report(rows, predicted, options)
    if options.out:
        before = json.loads(options.out.read_text()) if options.out.is_file() else {}
        options.out.write_text(json.dumps(before | fitted, indent=1) + "\n")


def solve_draws(options: argparse.Namespace) -> None:
    """Two draws of pictures start to stop, added to those that are there."""
    import ipt
    from ipt.bench import photographs
    from ipt.images import files
    from ipt.operators.blur.kernels import DefocusKernels, MotionKernels, ShakeKernels
    from ipt.solve import metrics

    torch.set_num_threads(1)
    paths = files.inputs(options.pictures)
    rows: dict[str, dict[str, Any]] = json.loads(options.rows.read_text()) if options.rows.is_file() else {}
    blind, known = (
        ipt.build(operator="blur", prior="natural", known=given, precision=options.precision)
        for given in ((), ("kernel",))
    )
    for index in range(options.start, options.stop):
        if str(index) in rows:
            continue
        side, path = (160 if index % 2 else 128), photographs.source(paths, index, 40)
        if options.wide:
            rng = np.random.default_rng([88, index])
            side = int(rng.choice([128, 160]))
            reach = int(side // 4 * rng.uniform(1.25, 2.2)) | 1
            motion, shake = MotionKernels((0.2, 1.0), (0.8 * reach, reach)), ShakeKernels(extent=(0.8 * reach, reach))
            part = (motion, motion, shake, DefocusKernels((reach / 3, reach / 2.1)))[index % 4]
            kernel = part.sample([7000 + index], (1, reach, reach))[0]
            path = paths[rng.integers(len(paths))]
            photographs.draw_kernel = lambda _, kernel=kernel: (kernel, "wide")
        taken = photographs.photograph(path, 5000 + index if options.wide else index, side)
        measured = taken.measurement[None]
        found = [blind.solve(measured, options.noise, seeds=[index + 100000 * draw]) for draw in range(2)]
        images = [one.image for one in found]
        if not options.wide:
            images.append(known.solve(measured, options.noise, {"kernel": taken.kernel[None]}, [index]).image)
        psnr = [
            metrics.against_reference(one[0].clamp(0, 1), taken.truth, max_shift=4)["psnr_registered"] for one in images
        ]
        kernels = [one.parameters["kernel"][0] for one in found]
        draws = []
        for one, kernel, reached in zip(found, kernels, psnr, strict=False):
            # A kernel that the window does not hold is wrong whatever the error.
            ratio = math.inf if options.wide else 10 ** ((psnr[-1] - reached) / 10)
            evidence = {name: round(value, 5) for name, value in one.assessments[0].evidence.items()}
            mnc = float(metrics.kernel_mnc(kernel, taken.kernel))
            draws.append({"evidence": evidence, "mnc": round(mnc, 4), "error_ratio": round(min(ratio, 1e3), 4)})
        agreement = round(float(metrics.kernel_mnc(*kernels)), 5)
        rows[str(index)] = {"picture": index, "agreement": agreement, "draws": draws}
        options.rows.write_text(json.dumps(rows))
        print(index, side, taken.kind, *(f"{value:.2f}" for value in psnr), f"{agreement:.3f}", flush=True)


def pairs(rows: dict[str, dict[str, Any]]) -> tuple[np.ndarray, list[dict[str, Any]], list[Any], np.ndarray]:
    """What the regression sees of each draw, the draw, its picture, and its weight: pictures count alike."""
    from ipt.operators.blur import assessment

    values, draws, pictures = [], [], []
    for row in rows.values():
        for draw in row["draws"]:
            seen, radius = draw["evidence"], draw["evidence"]["kernel_radius"]
            values.append(
                [*assessment.agreement_features(assessment.probability(seen), row["agreement"], radius).values()]
            )
            draws.append(draw)
            pictures.append(row["picture"])
    counts = {picture: pictures.count(picture) for picture in pictures}
    return np.array(values), draws, pictures, np.array([1 / counts[picture] for picture in pictures])


def fit_draws(options: argparse.Namespace) -> None:
    """The weights of two draws beside each other, and what such weights do on pictures left out."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    values, draws, pictures, weights = pairs(json.loads(options.rows.read_text()))
    right = np.logical_and(*truths(draws).values())
    predicted = np.zeros(len(right))
    for train, test in GroupKFold(6).split(values, right, pictures):
        model = LogisticRegression(C=1.0).fit(values[train], right[train], weights[train])
        predicted[test] = model.predict_proba(values[test])[:, 1]
    report(draws, predicted, options)
    model = LogisticRegression(C=1.0).fit(values, right, weights)
    fitted = [round(float(value), 5) for value in (*model.intercept_, *model.coef_[0])]
    print(fitted)
    if options.out:
        whole = json.loads(options.out.read_text()) | {
            "draws": dict(zip(("intercept", "alone", "agreement"), fitted, strict=True))
        }
        options.out.write_text(json.dumps(whole, indent=1) + "\n")


def judged(rows: dict[str, dict[str, Any]]) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray]:
    """Draws of pairs, and what the shipped weights make of each alone and beside the other."""
    from ipt.operators.blur.assessment import probability, probability_given_another

    _, draws, _, _ = pairs(rows)
    agreements = [row["agreement"] for row in rows.values() for _ in row["draws"]]
    alone = [probability(draw["evidence"]) for draw in draws]
    seen = zip(alone, draws, agreements, strict=True)
    return (
        draws,
        np.array(alone),
        np.array([probability_given_another(one, draw["evidence"], other) for one, draw, other in seen]),
    )


def score_draws(options: argparse.Namespace) -> None:
    """What the shipped weights make of pairs, and of each of their draws alone."""
    draws, alone, together = judged(json.loads(options.rows.read_text()))
    for words, predicted in (("alone", alone), ("beside each other", together)):
        print(words)
        report(draws, predicted, options)


def score(options: argparse.Namespace) -> None:
    """What the shipped weights make of rows."""
    from ipt.operators.blur.assessment import probability

    rows = list(json.loads(options.rows.read_text()).values())
    report(rows, np.array([probability(row["evidence"]) for row in rows]), options)


def report(rows: list[dict[str, Any]], predicted: np.ndarray, options: argparse.Namespace) -> None:
    """Areas under the curve, and how often solves are right by what was predicted: printed, written and drawn."""
    from sklearn.metrics import roc_auc_score

    told = truths(rows)
    right = told["kernel"] & told["image"]
    print(f"{len(rows)} solves; right: " + ", ".join(f"{name} {truth.mean():.2f}" for name, truth in told.items()))
    areas = {name: float(roc_auc_score(truth, predicted)) for name, truth in {**told, "both": right}.items()}
    for name, area in areas.items():
        print(f"area under the curve, {name}: {area:.3f}")
    edges, points, bins = np.linspace(0, 1, 6).round(1).tolist(), [], []
    for low, high in pairwise(edges):
        inside = (predicted >= low) & (predicted <= high if high == 1 else predicted < high)
        if inside.any():
            share = right[inside].mean()
            error = math.sqrt(max(share * (1 - share), 0.25 / inside.sum()) / inside.sum())
            points.append((predicted[inside].mean(), share, error))
            bins.append(
                {"from": low, "to": high, "solves": int(inside.sum()), "said": points[-1][0], "right": float(share)}
            )
            print(f"  {low:.1f}..{high:.1f}: {inside.sum():4d} solves, said {points[-1][0]:.2f}, right {share:.2f}")
    if options.summary:
        options.summary.write_text(json.dumps({"areas": areas, "bins": bins}, indent=1) + "\n", encoding="utf-8")
    if options.diagram:
        options.diagram.write_text(drawn(points), encoding="utf-8")


def drawn(points: list[tuple[float, float, float]]) -> str:
    """An SVG of (said, right, its standard error): on the dashed line is what is calibrated."""
    side, parts = 260, []
    for said, share, error in points:
        x, y, reach = 40 + side * said, 20 + side * (1 - share), side * error
        parts.append(f'<path d="M{x:.1f} {y - reach:.1f}V{y + reach:.1f}" stroke="#58a"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#025"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 330" font-family="sans-serif" font-size="12">'
        f'<rect width="320" height="330" fill="#fff"/><rect x="40" y="20" width="{side}" height="{side}" fill="none" '
        f'stroke="#999"/><path d="M40 {20 + side}L{40 + side} 20" stroke="#999" stroke-dasharray="4"/>{"".join(parts)}'
        f'<text x="{40 + side / 2}" y="315" text-anchor="middle">said: the result is right, 0 to 1</text>'
        f'<text transform="rotate(-90)" x="-{20 + side / 2}" y="24" text-anchor="middle">it was right, 0 to 1</text>'
        f"</svg>\n"
    )


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, run in (
        ("solve", solve), ("fit", fit), ("score", score),
        ("draws", solve_draws), ("fit-draws", fit_draws), ("score-draws", score_draws),
    ):  # fmt: skip
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("--rows", type=Path, required=True)
        if name in ("solve", "draws"):
            command.add_argument("--pictures", type=Path, required=True)
            command.add_argument("--start", type=int, default=0)
            command.add_argument("--stop", type=int, default=100)
            command.add_argument("--noise", type=float, default=0.007)
            command.add_argument("--steps", type=int)
            command.add_argument("--precision", default="bf16")
            command.add_argument("--wide", action="store_true")
        else:
            command.add_argument("--diagram", type=Path)
            command.add_argument("--summary", type=Path, help="a .json for what is printed")
        if name in ("fit", "fit-draws"):
            command.add_argument("--out", type=Path)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
