"""The priors that ship with the package."""

import shutil

import pytest
import torch

from ipt.core.errors import IptError
from ipt.priors import shipped


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """A folder that stands for the installed package ipt.priors."""
    monkeypatch.setattr(shipped, "files", lambda package: tmp_path / package)
    return tmp_path / "ipt.priors"


def test_weights_of_the_installation_are_loaded(installation, folder):
    shutil.copytree(folder(1), installation / "weights" / "kernel")
    shutil.copytree(folder(3, sizes=[16]), installation / "weights" / "faces")
    kernel, faces = shipped.kernel(), shipped.faces(device="cpu", precision="bf16")
    assert (kernel.name, kernel.channels, kernel.precision) == ("kernel", 1, "fp32")
    assert (faces.name, faces.channels, faces.precision) == ("faces", 3, "bf16")
    assert kernel.denoise(torch.randn(1, 1, 8, 8), 1.0).shape == (1, 1, 8, 8)


def test_an_installation_without_weights(installation):
    for make in (shipped.kernel, shipped.faces):
        with pytest.raises(IptError, match=rf"'{make.__name__}' are not in this installation.*prior.path=FOLDER"):
            make()
