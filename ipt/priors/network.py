"""A diffusion network as a prior: its normalization, the sizes that it takes, and how it is called.

noisy --extended or tiled--> network --clipped to valid kernels, cut--> clean
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ipt.core.errors import IptError, first_line, plural
from ipt.core.prior import Posterior, Prior
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.linalg.spectra import SpectralCovariance
from ipt.priors.adm_config import ADMConfig
from ipt.priors.compiling import compiled
from ipt.priors.edm import EDMDenoiser
from ipt.priors.error_curve import ErrorCurve
from ipt.priors.kernels import centred as to_centre
from ipt.priors.kernels import without_pedestal
from ipt.priors.precision import check_range, checked, checked_device, computing, rounded
from ipt.priors.refined import RefinedConfig, RefinedDenoiser
from ipt.priors.tiled import TiledPrior, extended
from ipt.priors.unet import UNetConfig
from ipt.priors.vp import VPDenoiser

Denoiser: TypeAlias = EDMDenoiser | RefinedDenoiser | VPDenoiser
KINDS = ("image", "kernel", "field")
_WHOLE = 2**21
"""Pixels of a picture above which a local network gets tiles, so that its features fit into memory."""
_TILE, _OVERLAP = 1408, 256
"""Side of a tile and overlap, in pixels. The overlap is as far as `natural` looks: at sigma 5 the difference to the
whole picture is .03 of an 8-bit step with 256, and .3 with 192."""


class NetworkPrior(Prior):
    """A denoiser module D(noisy (B, C, H, W), sigma (B,)) -> clean as a prior, with the config that describes it.

    The module is put into evaluation mode, its parameters are frozen, and those of layers rounded to the precision, all
    in place. Gradients with respect to `noisy` flow through it.

    A kernel is the centre of a larger frame of a size that the network takes. The errors of images have the spectrum of
    pictures; those of kernels and fields count as independent. A local network (`UNetConfig.local`) of images without
    sizes takes any height and width: the picture is extended by reflection to the next multiple, and overlapping tiles
    are used for pictures of more than 2^21 pixels.

    Args:
        denoiser: the module.
        config: configuration as in `ipt.priors.weights`.
        device: where the module runs, and where `noisy` must be.
        precision: a precision of `ipt.priors.precision`.
        name: its name in error messages.
        weights_hash: sha256 of the file of weights.
        compile: whether to compile the network with torch.compile, at its first call.
        centred: whether to centre estimates of kernels (`ipt.priors.kernels.centred`), where the config says that the
            network was trained on centred kernels.

    Attributes:
        channels: number of channels that it takes.
        multiple: heights and widths that the network sees are multiples of this many pixels.
        sizes: sides of the squares that it takes; empty: all multiples.

    Raises:
        IptError: a device that cannot be used, or a config with wrong values.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        config: Mapping[str, Any],
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        name: str = "this network",
        weights_hash: str = "",
        compile: bool = False,
        centred: bool = True,
    ):
        self.config = dict(config)
        self.name, self.weights_hash = name, weights_hash
        network = denoiser.network.config
        if not isinstance(network, UNetConfig | RefinedConfig | ADMConfig):
            raise TypeError(
                f"the denoiser's network is a Refined, a UNet or an ADMUNet, not {type(denoiser.network).__name__}"
            )
        self.channels = network.channels
        self.multiple = network.multiple
        self._local = isinstance(network, UNetConfig) and network.local
        self.device = checked_device(name, device)
        self.precision = checked(precision, self.device)
        try:
            self.denoiser = denoiser.eval().requires_grad_(False).to(self.device)
            self.denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            rounded(self.denoiser, self.precision, self.device)
            levels = sorted((float(k), float(v)) for k, v in config.get("validation", {}).items())
            self.scale, self.offset = float(config.get("scale", 0.5)), float(config.get("offset", 0.5))
            self.sizes = tuple(sorted(int(side) for side in config.get("sizes") or ()))
        except RuntimeError as error:
            raise IptError(f"cannot run {name} on {device} ({first_line(error)}): give another device") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise IptError(f"the config of {name} has a wrong value ({error}): fix its config.json") from None
        if self.scale == 0 or not math.isfinite(self.scale) or not math.isfinite(self.offset):
            raise IptError(f"{name} has scale {self.scale:g} and offset {self.offset:g}: set finite ones, scale not 0")
        self.kind = config.get("kind")
        if self.kind not in KINDS:
            raise IptError(f"{name} is of kind {self.kind!r}: its config.json has to say one of {', '.join(KINDS)}")
        compiled(self.denoiser.network, self.device, compile)
        # Whether the network was trained on non-negative kernels that are centred.
        self._of_kernels, self._centred = bool(config.get("centred")), centred
        self._errors = ErrorCurve.measured(levels)

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        """The normalization of a quantity (C, H, W): a kernel up to the largest size, others of the network's sizes."""
        channels, height, width = shape
        if channels != self.channels:
            raise IptError(
                f"{self.name} is a prior of {plural(self.channels, 'channel')}, and this has {channels}: "
                f"choose another prior, or convert the picture"
            )
        shape = self._frame(height, width) if self.kind == "kernel" else (height, width)
        if self.sizes:
            fits = shape[0] == shape[1] and shape[0] in self.sizes
        else:
            fits = min(shape) > 0 and (self._any_size or not any(side % self.multiple for side in shape))
        if not fits:
            raise IptError(
                f"{self.name} takes {self._sizes_in_words()}, not {width} x {height} px: "
                f"choose fit=resize or fit=tile, or another prior"
            )
        # A kernel is 0 outside its window.
        return Normalization((channels, *shape), (channels, height, width), self.scale, self.offset, zero_outside=True)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return self._estimate(noisy, sigma)[0]

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """With the error that the config states for this noise level, as it was measured in validation."""
        mean, interpolation = self._estimate(noisy, sigma)
        independent = Isotropic.like(noisy, self._curve(max(noisy.shape[-2:]))(sigma))
        if self.kind != "image":
            return Posterior(mean, independent, interpolation)
        return Posterior(mean, SpectralCovariance(abs(self.scale) * sigma, independent.variance), interpolation)

    def _estimate(self, noisy: Tensor, sigma: float) -> tuple[Tensor, Tensor | None]:
        """The mean, and the learned variance's interpolation where the network has one; of any size."""
        if not self._any_size:
            return self._call_network(noisy, sigma)
        height, width = noisy.shape[-2:]
        whole = extended(noisy, *self._frame(height, width))
        if whole[0, 0].numel() > _WHOLE:
            tiled = TiledPrior(self, _TILE, _OVERLAP, batch=1, multiple=self.multiple)
            return tiled.denoise(whole, sigma)[..., :height, :width], None
        return self._call_network(whole, sigma)[0][..., :height, :width].contiguous(), None

    @property
    def _any_size(self) -> bool:
        return self._local and not self.sizes and self.kind != "kernel"

    def _call_network(self, noisy: Tensor, sigma: float) -> tuple[Tensor, Tensor | None]:
        """The mean, and the learned variance's interpolation where the network has one; of a size that it takes."""
        dtype = torch.promote_types(next(self.denoiser.parameters()).dtype, torch.float32)
        inputs = noisy.to(dtype, memory_format=torch.channels_last)
        level = torch.full((len(noisy),), sigma, dtype=dtype, device=noisy.device)
        with computing(self.precision, noisy.device):
            if isinstance(self.denoiser, VPDenoiser):
                found, interpolation = self.denoiser.estimate(inputs, level)
            else:
                found, interpolation = self.denoiser(inputs, level), None
        check_range(found, inputs, self.precision, self.name)
        clean = _as(found, noisy)
        if self._of_kernels:
            kernels = without_pedestal(self.offset + self.scale * clean, abs(self.scale) * sigma)
            clean = ((to_centre(kernels) if self._centred else kernels) - self.offset) / self.scale
        return clean, None if interpolation is None else _as(interpolation, noisy)

    def _curve(self, side: int) -> ErrorCurve:
        """The error curve of the network that is used for pictures of this side, where there are several."""
        network = self.denoiser.network.config
        stages = network.stages() if isinstance(network, RefinedConfig) else ()
        # A stage has the errors of its base, which is used for half of its side.
        errors = [stage.errors for stage in stages if side <= stage.side // 2]
        return ErrorCurve.measured(errors[-1]) if errors else self._errors

    def _frame(self, height: int, width: int) -> tuple[int, int]:
        """The smallest sides that the network takes and that hold these; IptError where there are none."""
        if self.sizes:
            side = next((side for side in self.sizes if side >= max(height, width)), None)
            if side is None:
                raise IptError(
                    f"{self.name} takes up to {self.sizes[-1]} x {self.sizes[-1]} px, not {width} x {height}: "
                    f"choose a smaller size or another prior"
                )
            return side, side
        return -(-height // self.multiple) * self.multiple, -(-width // self.multiple) * self.multiple

    def _sizes_in_words(self) -> str:
        if self.sizes:
            return " or ".join(f"{side} x {side}" for side in self.sizes)
        return f"heights and widths that are multiples of {self.multiple}"


def _as(value: Tensor, like: Tensor) -> Tensor:
    return value.to(like.dtype).contiguous()
