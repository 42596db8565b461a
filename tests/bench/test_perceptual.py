from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import linalg

from ipt.bench import perceptual
from ipt.bench.perceptual import frechet_distance, inception_features, lpips_metric
from ipt.core.errors import Lacking


@pytest.mark.parametrize("counts", [(200, 150), (8, 12)])
def test_the_frechet_distance_is_that_of_the_textbook(counts):
    numbers = np.random.default_rng(0)
    one, other = numbers.standard_normal((counts[0], 6)), 0.3 + 1.4 * numbers.standard_normal((counts[1], 6))
    shift, a, b = one.mean(0) - other.mean(0), np.cov(one.T), np.cov(other.T)
    expected = shift @ shift + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert frechet_distance([one[:5], one[5:]], [other]) == pytest.approx(expected)
    assert frechet_distance([one], [one]) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="two pictures or more"):
        frechet_distance([one[:1]], [other])


def test_more_features_than_pictures():
    """Two clouds of two points, at right angles: nothing of one lies along the other."""
    one, other = np.zeros((2, 50)), np.zeros((2, 50))
    one[:, 0], other[:, 1] = [-1, 1], [-3, 3]
    assert frechet_distance([one], [other]) == pytest.approx(2 + 18)


@pytest.mark.parametrize(
    ("library", "metric", "name"), [("lpips", lpips_metric, "LPIPS"), ("torch_fidelity", inception_features, "FID")]
)
def test_a_missing_library_is_said(library, metric, name, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(Lacking, match=f"^{name} was not computed: ModuleNotFoundError.*install the extra `metrics`"):
        metric()


def at_hand(metric: Callable[[], Any]) -> Any:
    try:
        return metric()
    except Lacking as error:
        pytest.skip(str(error))


def usable(library: str) -> None:
    try:
        __import__(library)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{library}: {error}")


@pytest.mark.parametrize(("library", "metric", "file"), [
    ("lpips", lpips_metric, perceptual.VGG), ("torch_fidelity", inception_features, perceptual.INCEPTION)
])  # fmt: skip
def test_missing_and_damaged_weights_are_said(library, metric, file, tmp_path, monkeypatch):
    usable(library)
    monkeypatch.setenv("IPT_METRIC_WEIGHTS", str(tmp_path))
    with pytest.raises(Lacking, match=f"{tmp_path / file} is not there"):
        metric()
    (tmp_path / file).write_bytes(b"no weights")
    with pytest.raises(Lacking, match="cannot be used"):
        metric()


def test_lpips_of_equal_pictures_is_none():
    usable("lpips")
    metric = at_hand(lpips_metric)
    picture = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    slightly, much = (picture + level * torch.randn(3, 64, 64) for level in (0.02, 0.2))
    assert metric(picture, picture) == 0 < metric(slightly, picture) < metric(much, picture) < 2


def test_inception_features():
    usable("torch_fidelity")
    features = at_hand(inception_features)
    pictures = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    found = features(pictures)
    assert found.shape == (2, 2048) and np.allclose(features(pictures[:1]), found[:1], atol=1e-4)
