"""Denoisers of deepinv as priors.

A denoiser of Gaussian noise trained on squared error gives the conditional mean, in pictures of 0..1; in this
package's variable, x = (1 + z) / 2, where noise of sigma is sigma / 2:

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
from ipt.priors.weights import read


class DeepinvDenoiser(Prior):
    """denoiser(x, sigma) of pictures (B, C, H, W) in 0..1, sigma a number in the same units, as a prior.

    A module is put in evaluation and frozen; gradients with respect to `noisy` flow as usual. The estimate is kept
    within 0..1, where the mean of pictures lies.

    Args:
        denoiser: a module or a function.
        channels: of the pictures.
        sizes: sides of the squares that it takes; None: any height and width.
        multiple: heights and widths are multiples of this.
        device: where it runs, and where `noisy` must be.
        name: what messages call it.
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
        self.device, self.name, self.weights_hash = torch.device(device), name, weights_hash
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
        pretrained: "download" for deepinv's own weights, a file of weights, or null for none; of a model that takes
            weights.
        channels: of the pictures, also given to the model as in_channels and out_channels where it has such options.
        sizes: sides of the squares that it takes, default any.
        multiple: where any, heights and widths are multiples of this.
        device: a torch device.
        **options: of the model.

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
    """While a model is built: what it prints goes to stderr, and what it fetches is read as weights and nothing else.

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
