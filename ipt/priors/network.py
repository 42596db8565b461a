"""A diffusion network as a prior: how its variable is normalized, which sizes it takes, and how it is called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ipt.core.errors import IptError, plural
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
from ipt.priors.precision import check_range, checked, computing, rounded
from ipt.priors.refined import RefinedConfig, RefinedDenoiser
from ipt.priors.tiled import TiledPrior, continued
from ipt.priors.unet import UNetConfig
from ipt.priors.vp import VPDenoiser

Denoiser: TypeAlias = EDMDenoiser | RefinedDenoiser | VPDenoiser
KINDS = ("image", "kernel", "field")
_WHOLE = 2**21
"""Pixels: larger pictures are seen in tiles by a local network, so that its features fit into memory."""
_TILE, _OVERLAP = 1408, 256
"""Pixels. How far `natural` looks: at sigma 5, tiles that overlap by 256 differ by .03 of a step of 8 bits, by .3 with
192."""


class NetworkPrior(Prior):
    """A denoiser module D(noisy (B, C, H, W), sigma (B,)) -> clean, with the config that describes it.

    The module's parameters are frozen, those of layers rounded to the precision, and it is put in evaluation, all in
    place; gradients with respect to `noisy` flow as usual.

    By its kind: a kernel is the centre of a larger frame of a size that the network takes; the errors of images have
    the spectrum of pictures, those of kernels and fields count as independent. A local network (`UNetConfig.local`) of
    images without sizes takes any height and width: they are continued by reflection to the next multiple, and larger
    ones than `_WHOLE` are seen in overlapping tiles.

    Args:
        denoiser: the module.
        config: of `ipt.priors.weights`.
        device: where it runs, and where `noisy` must be.
        precision: of `ipt.priors.precision`.
        name: what error messages call it.
        weights_hash: sha256 of the file of weights.
        compile: the network by torch.compile, at its first call.
        centred: hold kernels to the centre, where the config says that all that the network learnt from were there.

    Attributes:
        channels: of what it takes.
        multiple: heights and widths that the network sees are multiples of this many pixels.
        sizes: sides that it takes; none: any multiple.
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
        try:
            self.device = torch.device(device)
            self.precision = checked(precision, self.device)
            self.denoiser = denoiser.eval().requires_grad_(False).to(self.device)
            self.denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            rounded(self.denoiser, self.precision, self.device)
            levels = sorted((float(k), float(v)) for k, v in config.get("validation", {}).items())
            self.scale, self.offset = float(config.get("scale", 0.5)), float(config.get("offset", 0.5))
            self.sizes = tuple(sorted(int(side) for side in config.get("sizes") or ()))
        except RuntimeError as error:
            raise IptError(f"cannot run {name} on {device} ({error})") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise IptError(f"the config of {name} has a wrong value ({error}): mend its config.json") from None
        if self.scale == 0 or not math.isfinite(self.scale) or not math.isfinite(self.offset):
            raise IptError(f"{name} has scale {self.scale:g} and offset {self.offset:g}: set finite ones, scale not 0")
        self.kind = config.get("kind")
        if self.kind not in KINDS:
            raise IptError(f"{name} is of kind {self.kind!r}: its config.json has to say one of {', '.join(KINDS)}")
        compiled(self.denoiser.network, self.device, compile)
        # What the network learnt from were kernels about their centre, none of them negative.
        self._of_kernels, self._centred = bool(config.get("centred")), centred
        self._errors = ErrorCurve.measured(levels)

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        """Of a kernel, any height and width up to the largest the network takes; of others, only its own sizes."""
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
                f"{self.name} takes {self._sizes_in_words()}, not {height}x{width}: "
                f"choose fit=resize or fit=tile, or another prior"
            )
        # Around a kernel there is nothing.
        return Normalization((channels, *shape), (channels, height, width), self.scale, self.offset, zero_outside=True)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return self._estimate(noisy, sigma)[0]

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """With the variance that the config has for this noise level."""
        mean, interpolation = self._estimate(noisy, sigma)
        independent = Isotropic.like(noisy, self._curve(max(noisy.shape[-2:]))(sigma))
        if self.kind != "image":
            return Posterior(mean, independent, interpolation)
        return Posterior(mean, SpectralCovariance(abs(self.scale) * sigma, independent.variance), interpolation)

    def _estimate(self, noisy: Tensor, sigma: float) -> tuple[Tensor, Tensor | None]:
        """The mean, and the learned variance's interpolation where the network has one."""
        if not self._any_size:
            return self._called(noisy, sigma)
        height, width = noisy.shape[-2:]
        whole = continued(noisy, *self._frame(height, width))
        if whole[0, 0].numel() > _WHOLE:
            tiled = TiledPrior(self, _TILE, _OVERLAP, batch=1, multiple=self.multiple)
            return tiled.denoise(whole, sigma)[..., :height, :width], None
        return self._called(whole, sigma)[0][..., :height, :width].contiguous(), None

    @property
    def _any_size(self) -> bool:
        return self._local and not self.sizes and self.kind != "kernel"

    def _called(self, noisy: Tensor, sigma: float) -> tuple[Tensor, Tensor | None]:
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
        """Of the network that serves this size, where there are several."""
        network = self.denoiser.network.config
        stages = network.stages() if isinstance(network, RefinedConfig) else ()
        # A stage knows the errors of what it refines, which serves half its side.
        errors = [stage.errors for stage in stages if side <= stage.side // 2]
        return ErrorCurve.measured(errors[-1]) if errors else self._errors

    def _frame(self, height: int, width: int) -> tuple[int, int]:
        """The smallest sides that the network takes, and that hold these."""
        if self.sizes:
            side = next((side for side in self.sizes if side >= max(height, width)), None)
            if side is None:
                raise IptError(
                    f"{self.name} takes up to {self.sizes[-1]}x{self.sizes[-1]}, not {height}x{width}: "
                    f"choose a smaller size or another prior"
                )
            return side, side
        return -(-height // self.multiple) * self.multiple, -(-width // self.multiple) * self.multiple

    def _sizes_in_words(self) -> str:
        if self.sizes:
            return " or ".join(f"{side}x{side}" for side in self.sizes)
        return f"heights and widths that are multiples of {self.multiple}"


def _as(value: Tensor, like: Tensor) -> Tensor:
    return value.to(like.dtype).contiguous()
