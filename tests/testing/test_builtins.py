"""Every component that comes with the package keeps what its kind promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ipt
from ipt.operators.blur.kernels import MixedKernels
from ipt.plugins import builtins
from ipt.plugins.component import KINDS
from ipt.testing.running import component_findings

COMPONENTS = [(kind, component.name) for kind, hook in KINDS.items() for component in getattr(builtins, hook)()]
WEIGHTS = Path(ipt.__file__).parent / "priors" / "weights"
SETTINGS = {
    ("operator", "blur"): {"kernel_size": 5},
    ("prior", "network"): {"path": WEIGHTS / "kernel"},
    ("prior", "empirical"): {"samples": "kernels.npy"},
    ("guidance", "regularized"): {"penalties.kernel": "l1:0.05", "penalties.image": "tv:0.05"},
}
ELSEWHERE = {
    ("prior", "ffhq"): "it is fetched from the network",
    ("prior", "imagenet"): "it is fetched from the network",
    ("prior", "hf"): "it needs the extra `diffusers`",
    ("operator", "deepinv"): "it needs the extra `deepinv`",
    ("prior", "deepinv"): "it needs the extra `deepinv`",
}


@pytest.mark.parametrize(("kind", "name"), COMPONENTS, ids=lambda word: word)
def test_a_built_in_keeps_every_promise(kind, name, tmp_path, monkeypatch):
    if (kind, name) in ELSEWHERE:
        pytest.skip(ELSEWHERE[kind, name])
    kernels = MixedKernels().sample(range(50), (1, 16, 24))
    np.save(tmp_path / "kernels.npy", kernels.numpy())
    monkeypatch.chdir(tmp_path)
    found = list(component_findings(kind, name, SETTINGS.get((kind, name), {})))
    assert [finding for finding in found if finding.status == "broken"] == []
    assert len(found) > 5 and found[0].promise == "builds"


def test_what_is_set_or_left_out_here_exists():
    assert (SETTINGS.keys() | ELSEWHERE.keys()) <= set(COMPONENTS)
