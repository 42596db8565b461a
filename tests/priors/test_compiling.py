"""Networks of priors by torch.compile."""

import shutil
import sys
import warnings

import pytest
import torch
from torch import nn

from ipt.core.errors import IptError, Misuse
from ipt.plugins.building import build
from ipt.priors.compiling import compiled
from ipt.priors.loading import load

COMPILER = shutil.which("g++") or shutil.which("clang++")


@pytest.mark.skipif(COMPILER is None or sys.platform != "linux", reason="needs a C++ compiler")
def test_a_compiled_network_says_the_same():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 1, 3, padding=1))
    names, noisy = list(network.state_dict()), torch.randn(2, 1, 8, 8)
    with torch.no_grad(), warnings.catch_warnings():
        # torch's own, about itself.
        warnings.simplefilter("ignore")
        plain = network(noisy)
        compiled(network, noisy.device, True)
        assert torch.allclose(network(noisy), plain, atol=1e-6)
    assert list(network.state_dict()) == names


def test_the_option_reaches_the_network(folder, monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda function: function)
    monkeypatch.setattr(torch.nn.Module, "compile", lambda network: seen.append(network))
    priors = {"prior": folder(3), "parameters": {"kernel": f"network:{folder(1)}"}}
    assert build(**priors) and not seen
    solver = build(**priors, settings={"prior.compile": "true"})
    assert seen == [solver.solver.priors["image"].prior.denoiser.network]


def test_where_nothing_can_be_compiled(folder, monkeypatch):
    def failing(function):
        raise RuntimeError("No working C++ compiler\nfound")

    monkeypatch.setattr(torch, "compile", failing)
    with pytest.raises(IptError, match=r"does not work here \(No working C\+\+ compiler found\): .*leave the option"):
        load(folder(), compile=True)
    with pytest.raises(Misuse, match="compile is true or false, not 'maybe'"):
        load(folder(), compile="maybe")
