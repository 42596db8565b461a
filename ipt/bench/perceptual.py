"""LPIPS and FID, by the libraries of the extra `[metrics]`, if these and their weights are installed.

LPIPS: the package `lpips` with the VGG network (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", CVPR 2018), as BlindDPS reports it. FID: the features of `torch-fidelity`, the Inception network of
the original (Heusel et al., "GANs Trained by a Two Time-Scale Update Rule ...", NeurIPS 2017). Neither library may
download anything: weights are looked for in a folder, by default that of torch hub, and if something is missing the
report says so.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg
from torch import Tensor

from ipt.bench.rows import Row, Rows
from ipt.core.errors import Lacking
from ipt.images import files
from ipt.images.records import identity
from ipt.plugins.faults import one_line

Features = NDArray[np.float64]

VGG = "vgg16-397923af.pth"
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
_HOW = "docs/benchmarks.md says how to get it"
_INCEPTION_BATCH = 16
"""Pictures at a time."""


def weights_folder() -> Path:
    """Where weights are looked for: IPT_METRIC_WEIGHTS, or torch hub's folder."""
    return Path(os.environ.get("IPT_METRIC_WEIGHTS") or Path(torch.hub.get_dir()) / "checkpoints").expanduser()


def lpips_metric(device: str = "cpu") -> Callable[[Tensor, Tensor], float]:
    """The LPIPS distance, a function of two pictures (3, H, W) in 0..1.

    Raises:
        Lacking: The library or its weights are missing.
    """
    try:
        import lpips  # type: ignore[import-not-found, unused-ignore]

        with warnings.catch_warnings():
            # torchvision warns about how lpips calls it.
            warnings.simplefilter("ignore", UserWarning)
            network = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    # A torchvision that was built for another torch fails with a RuntimeError.
    except (ImportError, RuntimeError, AttributeError) as error:
        raise _unusable("LPIPS", error) from error
    path = weights_folder() / VGG
    try:
        network.net.load_state_dict(_trunk(network, torch.load(path, map_location="cpu", weights_only=True)))
    except Exception as error:
        raise _unreadable("LPIPS", path, error) from error
    network = network.eval().requires_grad_(False).to(device)

    def distance(first: Tensor, second: Tensor) -> float:
        with torch.inference_mode():
            return float(network(first[None].to(device), second[None].to(device), normalize=True))

    return distance


def inception_features(device: str = "cpu") -> Callable[[Tensor], Features]:
    """The Inception features of pictures, a function (B, 3, H, W) uint8 -> (B, 2048).

    Raises:
        Lacking: The library or its weights are missing.
    """
    path = weights_folder() / INCEPTION
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import (  # type: ignore[import-not-found, unused-ignore]
            FeatureExtractorInceptionV3,
        )
    except (ImportError, RuntimeError, AttributeError) as error:
        raise _unusable("FID", error) from error
    try:
        # The library unpickles the file: this checks first that it holds nothing but tensors.
        torch.load(path, map_location="cpu", weights_only=True)
        network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
    except Exception as error:
        raise _unreadable("FID", path, error) from error
    network = network.eval().requires_grad_(False).to(device)

    def features(pictures: Tensor) -> Features:
        with torch.inference_mode():
            found: Features = network(pictures.to(device))[0].double().cpu().numpy()
            return found

    return features


def frechet_distance(first: Iterable[Features], second: Iterable[Features]) -> float:
    """The Frechet distance |m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of features, in parts (B, F).

    Raises:
        ValueError: Fewer than two of either.
    """
    one, other = np.concatenate(list(first)), np.concatenate(list(second))
    if min(len(one), len(other)) < 2:
        raise ValueError("a Frechet distance needs two pictures or more on each side")
    # With C = R^T R, the trace of the root of C1 C2 is the sum of the singular values of R1 R2^T, which avoids the root
    # of a singular matrix and imaginary parts.
    a, b = (linalg.qr((v - v.mean(0)) / np.sqrt(len(v) - 1), mode="r")[0][: v.shape[1]] for v in (one, other))
    cross = linalg.svdvals(a @ b.T).sum()
    return float(np.square(one.mean(0) - other.mean(0)).sum() + np.square(a).sum() + np.square(b).sum() - 2 * cross)


class PerceptualScores:
    """LPIPS and FID of the written pictures, stored in the rows so that they are computed once.

    Args:
        log: The rows of the run.
        pictures: The folder of the pictures.
        device: Where the networks run.

    Attributes:
        reasons: Why LPIPS or FID could not be computed.
    """

    def __init__(self, log: Rows, pictures: Path, device: str):
        self.reasons: list[str] = []
        self._log, self._pictures, self._device = log, pictures, device
        self._network: Callable[[Tensor], Features] | None = None
        self._clean: dict[str, Features] = {}

    def add_lpips(self, rows: Sequence[Row]) -> None:
        """Add the LPIPS to every row that lacks it."""
        missing = [row for row in rows if "lpips" not in row]
        if not missing:
            return
        try:
            metric = lpips_metric(self._device)
        except Lacking as error:
            self.reasons.append(str(error))
            return
        for row in missing:
            result, clean = (self._picture(row["case"], name) for name in (row["solver"], "clean"))
            self._log.add(row["identity"], {"lpips": metric(result, clean)})

    def fid(self, solver: str, rows: Sequence[Row]) -> float | None:
        """The FID between a solver's pictures and the clean ones; None if it cannot be computed."""
        if len(rows) < 2:
            return None
        key = identity({"fid": [row["identity"] for row in rows]})
        if key in self._log:
            return float(self._log[key]["fid"])
        try:
            network = self._network = self._network or inception_features(self._device)
        except Lacking as error:
            self.reasons.append(str(error))
            return None
        stems = [row["case"] for row in rows]
        for stem in stems:
            if stem not in self._clean:
                self._clean[stem] = next(self._features(network, [stem], "clean"))
        own = self._features(network, stems, solver)
        distance = frechet_distance(own, [self._clean[stem] for stem in stems])
        self._log.add(key, {"fid": distance, "solver": solver})
        return distance

    def _features(self, network: Callable[[Tensor], Features], stems: Sequence[str], name: str) -> Iterator[Features]:
        for start in range(0, len(stems), _INCEPTION_BATCH):
            batch = [self._picture(stem, name) for stem in stems[start : start + _INCEPTION_BATCH]]
            yield network((255 * torch.stack(batch)).round().to(torch.uint8))

    def _picture(self, stem: str, name: str) -> Tensor:
        return files.read(self._pictures / f"{stem}.{name}.png").pixels


def _trunk(network: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The VGG16 of torchvision ("features.0.weight", ...) as lpips names it ("slice1.0.weight", ...)."""
    return {key: state[f"features.{key.partition('.')[2]}"] for key in network.net.state_dict()}


def _unusable(metric: str, error: Exception) -> Lacking:
    how = "install the extra `metrics`, with a torchvision that was built for this torch"
    return Lacking(f"{metric} was not computed: {one_line(error)}; {how}")


def _unreadable(metric: str, path: Path, error: Exception) -> Lacking:
    state = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be used ({one_line(error)})"
    return Lacking(f"{metric} was not computed: {path} {state}; {_HOW}")
