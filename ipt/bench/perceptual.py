"""LPIPS and FID, by the libraries of the extra `[metrics]`, where they and their weights are at hand.

LPIPS: the package `lpips` with the VGG network (Zhang et al., "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", CVPR 2018), as BlindDPS reports it. FID: the features of `torch-fidelity`, the Inception network of
the original (Heusel et al., "GANs Trained by a Two Time-Scale Update Rule ...", NeurIPS 2017). Neither library is left
to fetch anything: weights are looked for in a folder, torch hub's own by default, and where something is missing the
reason is told.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from ipt.plugins.registry import one_line

VGG = "vgg16-397923af.pth"
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
_HOW = "docs/benchmarks.md says how to get it"


@dataclass(frozen=True)
class Missing:
    """Why a metric cannot be had, in one line."""

    reason: str


def weights_folder() -> Path:
    """Where weights are looked for: IPT_METRIC_WEIGHTS, or torch hub's folder."""
    return Path(os.environ.get("IPT_METRIC_WEIGHTS") or Path(torch.hub.get_dir()) / "checkpoints").expanduser()


def lpips_metric(device: str = "cpu") -> Callable[[Tensor, Tensor], float] | Missing:
    """The distance of two pictures (3, H, W) in 0..1, or why there is none."""
    try:
        import lpips  # type: ignore[import-not-found, unused-ignore]

        with warnings.catch_warnings():
            # Of torchvision, about how lpips calls it.
            warnings.simplefilter("ignore", UserWarning)
            network = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
    # A torchvision that was built for another torch fails with a RuntimeError.
    except (ImportError, RuntimeError, AttributeError) as error:
        return _unusable("LPIPS", error)
    path = weights_folder() / VGG
    try:
        network.net.load_state_dict(_trunk(network, torch.load(path, map_location="cpu", weights_only=True)))
    except Exception as error:
        return _unreadable("LPIPS", path, error)
    network = network.eval().requires_grad_(False).to(device)

    def distance(first: Tensor, second: Tensor) -> float:
        with torch.inference_mode():
            return float(network(first[None].to(device), second[None].to(device), normalize=True))

    return distance


def inception_features(device: str = "cpu") -> Callable[[Tensor], np.ndarray] | Missing:
    """The 2048 features of each of some pictures, (B, 3, H, W) uint8 -> (B, 2048), or why there are none."""
    path = weights_folder() / INCEPTION
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import (  # type: ignore[import-not-found, unused-ignore]
            FeatureExtractorInceptionV3,
        )
    except (ImportError, RuntimeError, AttributeError) as error:
        return _unusable("FID", error)
    if not path.is_file():
        return _unreadable("FID", path, FileNotFoundError())
    try:
        # The library reads any pickle; that this one holds nothing but tensors is made sure of first.
        torch.load(path, map_location="cpu", weights_only=True)
        network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
    except Exception as error:
        return _unreadable("FID", path, error)
    network = network.eval().requires_grad_(False).to(device)

    def features(pictures: Tensor) -> np.ndarray:
        with torch.inference_mode():
            return network(pictures.to(device))[0].double().cpu().numpy()

    return features


def frechet_distance(first: Iterable[np.ndarray], second: Iterable[np.ndarray]) -> float:
    """|m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of features, (B, F) each part; FID on Inception's.

    ValueError: fewer than two of either.
    """
    one, other = np.concatenate(list(first)), np.concatenate(list(second))
    if min(len(one), len(other)) < 2:
        raise ValueError("a Frechet distance needs two pictures or more on each side")
    # With C = R^T R, the trace of the root of C1 C2 is the sum of the singular values of R1 R2^T: no root of a singular
    # matrix is taken, and nothing imaginary can arise.
    a, b = (linalg.qr((v - v.mean(0)) / np.sqrt(len(v) - 1), mode="r")[0][: v.shape[1]] for v in (one, other))
    cross = linalg.svdvals(a @ b.T).sum()
    return float(np.square(one.mean(0) - other.mean(0)).sum() + np.square(a).sum() + np.square(b).sum() - 2 * cross)


def _trunk(network: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's VGG16 ("features.0.weight", ...) as lpips names it ("slice1.0.weight", ...)."""
    return {key: state[f"features.{key.partition('.')[2]}"] for key in network.net.state_dict()}


def _unusable(metric: str, error: Exception) -> Missing:
    how = "install the extra `metrics`, with a torchvision that was built for this torch"
    return Missing(f"{metric} was not computed: {one_line(error)}; {how}")


def _unreadable(metric: str, path: Path, error: Exception) -> Missing:
    said = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be used ({one_line(error)})"
    return Missing(f"{metric} was not computed: {path} {said}; {_HOW}")
