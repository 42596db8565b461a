"""Denoisers of deepinv as priors.

A denoiser of Gaussian noise that is trained on squared error gives the conditional mean, for pictures x in 0..1. In
this package's variable z, x = (1 + z) / 2 and noise of level sigma on z is sigma / 2 on x:

    E[clean | z] = 2 denoiser((1 + z) / 2, sigma / 2) - 1
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ipt.core.errors import IptError, Lacking, first_line
from ipt.core.prior import Prior
from ipt.extras import chosen
from ipt.linalg.normalization import Normalization
from ipt.priors.pictures import PictureSizes, squares
from ipt.priors.precision import checked_device
from ipt.priors.weights import read


class DeepinvDenoiser(Prior):
    """A denoiser of pictures in 0..1 as a prior.

    A module is put into evaluation mode and frozen; gradients with respect to `noisy` flow through it. The estimate is
    clipped to 0..1, where the mean of pictures lies.

    Args:
        denoiser: a module or function (x, sigma) -> x, with x (B, C, H, W) in 0..1 and sigma a number in these units.
        channels: number of the pictures' channels.
        sizes: sides of the squares that it takes; None: any height and width.
        multiple: heights and widths must be multiples of this.
        device: where it runs, and where `noisy` must be.
        name: its name in error messages.
        weights_hash: sha256 of the file of weights.
    """

    def __init__(
        self,
        denoiser: Callable[[Tensor, float], Tensor],
        channels: int = 3,
        sizes: Sequence[int] | None = None,
        multiple: int = 1,
        device: str | torch.device = "cpu",
        name: str = "this denoiser",
        weights_hash: str = "",
    ):
        self._sizes = PictureSizes(name, channels, squares(sizes), multiple)
        self.device, self.name, self.weights_hash = checked_device(name, device), name, weights_hash
        self.denoiser = denoiser
        if isinstance(denoiser, nn.Module):
            self.denoiser = denoiser.eval().requires_grad_(False).to(self.device)

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        return self._sizes.normalization(shape)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        weights = self.denoiser.parameters() if isinstance(self.denoiser, nn.Module) else iter(())
        picture = (0.5 + 0.5 * noisy).to(next(weights, noisy).dtype)
        return 2 * self.denoiser(picture, 0.5 * sigma).to(noisy.dtype).clamp(0, 1) - 1


def load(
    model: str,
    pretrained: str | os.PathLike[str] | None = "download",
    channels: int = 3,
    sizes: Sequence[int] | None = None,
    multiple: int = 1,
    device: str = "cpu",
    **options: Any,
) -> DeepinvDenoiser:
    """A prior from a denoiser of deepinv.

    Args:
        model: a class of deepinv.models (DRUNet, DnCNN, TVDenoiser, ...), or MODULE:ATTRIBUTE of a function of your own
            that returns a denoiser.
        pretrained: "download" for deepinv's own weights, a file of weights, or null for none; for models that take
            weights.
        channels: number of the pictures' channels, passed to the model as in_channels and out_channels where it has
            these options.
        sizes: sides of the squares that it takes; None: any height and width.
        multiple: heights and widths must be multiples of this.
        device: a torch device.
        **options: options of the model.

    Raises:
        IptError: there is no such model, or it does not take these options or weights.
    """
    factory = chosen(model, "deepinv.models")
    accepted = inspect.signature(factory).parameters
    for name in ("in_channels", "out_channels"):
        if name in accepted:
            options.setdefault(name, channels)
    from_file = pretrained not in (None, "download")
    if "pretrained" in accepted:
        options["pretrained"] = None if from_file else pretrained
    elif from_file:
        raise IptError(f"{model} takes no weights: leave out pretrained={pretrained}")
    try:
        with _quiet_and_safe():
            denoiser = factory(**options)
    except OSError as error:
        raise Lacking(
            f"could not fetch the weights of {model} ({first_line(error)})\n"
            f"connect and run again, or give a file: pretrained=FILE"
        ) from error
    digest = ""
    if from_file:
        weights = read(str(pretrained))
        digest = weights.sha256
        try:
            denoiser.load_state_dict(weights.state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise IptError(f"{weights.file} does not fit {model} ({reason}): give its own weights") from None
    return DeepinvDenoiser(denoiser, channels, sizes, multiple, device, model, digest)


@contextlib.contextmanager
def _quiet_and_safe() -> Iterator[None]:
    """A context to build a model in: it prints to stderr, and can read downloaded files as weights only.

    Its random initial weights do not advance the caller's random numbers.
    """
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        with contextlib.redirect_stdout(sys.stderr), torch.random.fork_rng(devices=[]):
            yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
