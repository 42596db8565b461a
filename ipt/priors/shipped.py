"""The priors that come with the package: networks that were trained here, each with a card beside its weights."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from ipt.core.errors import IptError
from ipt.priors.loading import load
from ipt.priors.network import NetworkPrior

NAMES = ("faces", "faces256", "natural", "kernel")


def kernel(device: str = "cpu", precision: str = "fp32", compile: bool = False) -> NetworkPrior:
    """Blur kernels (1 channel, largest entry 1): motion, Gaussian and defocus, drawn by ipt.operators.blur.kernels.

    Args:
        device: a torch device.
        precision: fp32, bf16 or fp16.
        compile: whether to compile the network with torch.compile, at its first call.
    """
    return _load("kernel", device, precision, compile)


def kernel_uncentred(device: str = "cpu", precision: str = "fp32", compile: bool = False) -> NetworkPrior:
    """The prior `kernel` without centring of its estimates.

    Where the border of a picture is unknown, picture and kernel shift against each other in the course of a solve, and
    centring the estimate of a shifted kernel would give it a wrong shape.

    Args:
        device: a torch device.
        precision: fp32, bf16 or fp16.
        compile: whether to compile the network with torch.compile, at its first call.
    """
    return _load("kernel", device, precision, compile, centred=False)


def faces(device: str = "cpu", precision: str = "fp32", compile: bool = False) -> NetworkPrior:
    """Faces in colour.

    Args:
        device: a torch device.
        precision: fp32, bf16 or fp16.
        compile: whether to compile the network with torch.compile, at its first call.
    """
    return _load("faces", device, precision, compile)


def faces256(device: str = "cpu", precision: str = "fp32", compile: bool = False) -> NetworkPrior:
    """Faces in colour, larger.

    Args:
        device: a torch device.
        precision: fp32, bf16 or fp16.
        compile: whether to compile the network with torch.compile, at its first call.
    """
    return _load("faces256", device, precision, compile)


def natural(device: str = "cpu", precision: str = "fp32", compile: bool = False) -> NetworkPrior:
    """Photographs in colour, of any size.

    Args:
        device: a torch device.
        precision: fp32, bf16 or fp16.
        compile: whether to compile the network with torch.compile, at its first call.
    """
    return _load("natural", device, precision, compile)


def folder(name: str) -> Path:
    """The folder with the weights of a prior of `NAMES`; IptError where this installation does not have it."""
    place = Path(str(files("ipt.priors"))) / "weights" / name
    if not place.is_dir():
        raise IptError(
            f"the weights of the prior {name!r} are not in this installation ({place}): install ipt again, "
            f"or train your own: prior=FOLDER"
        )
    return place


def _load(name: str, device: str, precision: str, compile: bool, centred: bool = True) -> NetworkPrior:
    return load(folder(name), device, precision, compile=compile, centred=centred)
