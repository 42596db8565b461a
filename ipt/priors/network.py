"""A diffusion network as a prior: weights from disk, the network they belong to, and the chart of its variable."""

from __future__ import annotations

import bisect
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ipt.core.errors import IptError
from ipt.core.normalization import Normalization
from ipt.core.prior import Posterior, Prior
from ipt.linalg.covariances import Isotropic
from ipt.linalg.spectra import SpectralCovariance
from ipt.priors.adm import ADMConfig, ADMUNet
from ipt.priors.compiling import compiled
from ipt.priors.edm import EDMDenoiser
from ipt.priors.experts import Experts, ExpertsConfig, ExpertsDenoiser
from ipt.priors.kernels import centred
from ipt.priors.precision import check_range, checked, computing
from ipt.priors.refined import RefinedConfig, RefinedDenoiser, denoiser_of
from ipt.priors.tiled import TiledPrior
from ipt.priors.unet import UNetConfig
from ipt.priors.vp import VPDenoiser
from ipt.priors.weights import Weights, read

_PROCESS = ("sqrt_alphas_cumprod", "sqrt_1m_alphas_cumprod")
"""What deepinv stores with its ADM networks besides their parameters: the noise schedule, which is ours already."""
_TRAINED: Mapping[str, type[UNetConfig] | type[RefinedConfig]] = {"unet": UNetConfig, "refined": RefinedConfig}
_WHOLE = 2**21
"""Pixels: larger pictures are seen in tiles by a local network, so that its features fit into memory."""
_TILE, _OVERLAP = 1408, 192
"""Pixels. How far `natural` looks has grown with its training: with an overlap of 128, tiles differed by half a step of
8 bits at sigma 5."""


class NetworkPrior(Prior):
    """A denoiser module D(noisy (B, C, H, W), sigma (B,)) -> clean, with the config that describes it
    (`ipt.priors.weights`).

    The module's parameters are frozen and it is put in evaluation; gradients with respect to `noisy` flow as usual.
    device: where it runs, and where `noisy` must be. precision: of `ipt.priors.precision`.
    name: what error messages call it. weights_hash: sha256 of the file of weights. compile: the
    network by torch.compile, at its first call. channels; multiple: heights and widths that the network sees are
    multiples of this many pixels.

    A local network (`UNetConfig.local`) without sizes takes pictures of any height and width: they are continued by
    reflection to the next multiple, and larger ones than `_WHOLE` are seen in overlapping tiles.
    """

    def __init__(
        self,
        denoiser: EDMDenoiser | ExpertsDenoiser | RefinedDenoiser | VPDenoiser,
        config: Mapping[str, Any],
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        name: str = "this network",
        weights_hash: str = "",
        compile: bool = False,
    ):
        self.config, self.precision = dict(config), checked(precision)
        self.name, self.weights_hash = name, weights_hash
        network = denoiser.network.config
        if not isinstance(network, UNetConfig | ExpertsConfig | RefinedConfig | ADMConfig):
            raise TypeError(
                f"the denoiser's network is a Refined, a UNet or an ADMUNet, not {type(denoiser.network).__name__}"
            )
        self.channels = network.channels
        self.multiple = network.multiple
        self._local = isinstance(network, UNetConfig | ExpertsConfig) and network.local
        try:
            self.device = torch.device(device)
            self.denoiser = denoiser.eval().requires_grad_(False).to(self.device)
            self.denoiser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            levels = sorted((float(k), float(v)) for k, v in config.get("validation", {}).items())
            self.scale, self.offset = float(config.get("scale", 0.5)), float(config.get("offset", 0.5))
            self.sizes = tuple(sorted(int(side) for side in config.get("sizes") or ()))
        except RuntimeError as error:
            raise IptError(f"cannot run {name} on {device} ({error})") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise IptError(f"the config of {name} has a wrong value ({error}): mend its config.json") from None
        if self.scale == 0 or not math.isfinite(self.scale) or not math.isfinite(self.offset):
            raise IptError(f"{name} has scale {self.scale:g} and offset {self.offset:g}: set finite ones, scale not 0")
        compiled(self.denoiser.network, self.device, compile)
        self.canvas = bool(config.get("canvas", False))
        self._kernels, self._centred = bool(config.get("kernels", False)), bool(config.get("centred", True))
        self._log_errors = _logarithms(levels)

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        """The chart of a quantity (C, H, W).

        With a canvas (kernels), any height and width up to the largest the network takes: the quantity is the centre of
        the smallest canvas that holds it. Without (pictures), only the network's own sizes.
        """
        channels, height, width = shape
        if channels != self.channels:
            raise IptError(
                f"{self.name} is a prior of {_plural(self.channels, 'channel')}, and this has {channels}: "
                f"choose another prior, or convert the picture"
            )
        shape = self._canvas(height, width) if self.canvas else (height, width)
        if self.sizes:
            fits = shape[0] == shape[1] and shape[0] in self.sizes
        else:
            fits = min(shape) > 0 and (self._any_size or not any(side % self.multiple for side in shape))
        if not fits:
            raise IptError(
                f"{self.name} takes {self._sizes_in_words()}, not {height}x{width}: "
                f"choose `--fit resize` or `--fit tile`, or another prior"
            )
        return Normalization((channels, *shape), (channels, height, width), self.scale, self.offset)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return self._estimate(noisy, sigma)[0]

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """With the variance that the config tells for this noise level, and the spectrum of pictures' errors; those of
        kernels, and of fields, which have two channels, count as independent."""
        mean, interpolation = self._estimate(noisy, sigma)
        independent = Isotropic.like(noisy, self._deviation(sigma, noisy))
        if self.canvas or self.channels == 2:
            return Posterior(mean, independent, interpolation)
        return Posterior(mean, SpectralCovariance(abs(self.scale) * sigma, independent.variance), interpolation)

    def _estimate(self, noisy: Tensor, sigma: float) -> tuple[Tensor, Tensor | None]:
        """The mean, and the learned variance's interpolation where the network has one."""
        if not self._any_size:
            return self._called(noisy, sigma)
        height, width = noisy.shape[-2:]
        continued = _continued(noisy, *self._canvas(height, width))
        if continued[0, 0].numel() > _WHOLE:
            tiled = TiledPrior(self, _TILE, _OVERLAP, batch=1, multiple=self.multiple)
            return tiled.denoise(continued, sigma)[..., :height, :width], None
        return self._called(continued, sigma)[0][..., :height, :width].contiguous(), None

    @property
    def _any_size(self) -> bool:
        return self._local and not self.sizes and not self.canvas

    def _called(self, noisy: Tensor, sigma: float) -> tuple[Tensor, Tensor | None]:
        weight = next(self.denoiser.parameters())
        inputs = noisy.to(weight.dtype, memory_format=torch.channels_last)
        level = torch.full((len(noisy),), sigma, dtype=weight.dtype, device=noisy.device)
        with computing(self.precision, noisy.device):
            if isinstance(self.denoiser, VPDenoiser):
                found, interpolation = self.denoiser.estimate(inputs, level)
            else:
                found, interpolation = self.denoiser(inputs, level), None
        check_range(found, inputs, self.precision, self.name)
        clean = _as(found, noisy)
        if self._kernels:
            physical = self.offset + self.scale * clean
            clean = ((centred(physical) if self._centred else physical.clamp(min=0)) - self.offset) / self.scale
        return clean, None if interpolation is None else _as(interpolation, noisy)

    def _deviation(self, sigma: float, noisy: Tensor) -> float:
        """Root mean square error on held-out examples at this noise level, where the config tells it (log-log between
        the levels measured, in proportion to sigma below them); else the usual one."""
        log_sigmas, log_errors = self._errors(max(noisy.shape[-2:]))
        if not log_sigmas:
            return sigma * 0.5 / math.hypot(sigma, 0.5)
        level = math.log(sigma)
        if level <= log_sigmas[0]:
            return math.exp(log_errors[0] + level - log_sigmas[0])
        if level >= log_sigmas[-1]:
            return math.exp(log_errors[-1])
        above = bisect.bisect_right(log_sigmas, level)
        (low, high), (first, last) = log_sigmas[above - 1 : above + 1], log_errors[above - 1 : above + 1]
        return math.exp(first + (level - low) / (high - low) * (last - first))

    def _errors(self, side: int) -> tuple[Sequence[float], Sequence[float]]:
        """Logarithms of noise levels and of errors, of the network that serves this size, where there are several."""
        network = self.denoiser.network.config
        stages = network.stages() if isinstance(network, RefinedConfig) else ()
        # A stage knows the errors of what it refines, which serves half its side.
        errors = [stage.errors for stage in stages if side <= stage.side // 2]
        return _logarithms(errors[-1]) if errors else self._log_errors

    def _canvas(self, height: int, width: int) -> tuple[int, int]:
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


def load(
    path: str | os.PathLike,
    device: str = "cpu",
    precision: str = "fp32",
    scale: float | None = None,
    offset: float | None = None,
    sizes: Sequence[int] | None = None,
    head_channels: int = 64,
    compile: bool = False,
    centred: bool = True,
) -> NetworkPrior:
    """A prior from a folder or a file of weights.

    Without a config.json beside it, a file must be a guided-diffusion checkpoint; what that network is, is read off its
    parameters, but for `head_channels`, the features a head of attention. One channel is taken for a kernel, two for a
    field in the network's own units (its chart: scale 1, offset 0), three for a picture in 0..1; scale, offset
    (physical = offset + scale * normalised) and sizes (sides it takes) say otherwise. compile: by torch.compile.
    centred: hold the estimates to the centre (`ipt.priors.kernels`) where the config says that these are kernels.
    Raises IptError.
    """
    chosen = {"scale": scale, "offset": offset, "sizes": None if sizes is None else list(sizes), "centred": centred}
    return from_weights(read(path), device, precision, head_channels, compile, **chosen)


def from_weights(
    weights: Weights,
    device: str = "cpu",
    precision: str = "fp32",
    head_channels: int = 64,
    compile: bool = False,
    **chosen: Any,
) -> NetworkPrior:
    """`load`, of weights already read; chosen: entries of the config that are not None override it."""
    try:
        config = weights.config if weights.config is not None else _inferred(weights.state, head_channels)
        config = {**config, **{name: value for name, value in chosen.items() if value is not None}}
        denoiser = _denoiser(config)
    except IptError as error:
        raise IptError(f"{weights.file}: {error}") from None
    _fill(denoiser.network, weights)
    folder = weights.file.parent.name if weights.config is not None else weights.file.name
    name = config.get("name") or folder
    return NetworkPrior(denoiser, config, device, precision, name, weights.sha256, compile)


def _inferred(state: Mapping[str, Tensor], head_channels: int) -> dict[str, Any]:
    """The config of a bare guided-diffusion checkpoint."""
    try:
        network = ADMConfig.from_state(state, head_channels)
    except IptError as error:
        raise IptError(f"{error}. Without a config.json beside them, only ADM weights can be told") from None
    field = network.channels == 2
    return {
        "format": 1,
        "architecture": "adm",
        "network": network.to_dict(),
        "scale": 1.0 if field else 0.5,
        "offset": 0.0 if field else 0.5,
        "sizes": [network.usual_size] if network.usual_size else None,
        "canvas": network.channels == 1,
    }


def _denoiser(config: Mapping[str, Any]) -> EDMDenoiser | ExpertsDenoiser | RefinedDenoiser | VPDenoiser:
    """The module that a config describes, its parameters not yet those of the file."""
    if config.get("format", 1) != 1:
        raise IptError(f"config.json is of format {config['format']}, this version reads 1: update ipt")
    try:
        if config["architecture"] in _TRAINED:
            network, sigma_data = _TRAINED[config["architecture"]], float(config["sigma_data"])
            # Random initial weights must not advance the caller's random numbers.
            with torch.random.fork_rng(devices=[]):
                return denoiser_of(network.from_dict(config["network"]), sigma_data)
        if config["architecture"] == "experts":
            with torch.random.fork_rng(devices=[]):
                return ExpertsDenoiser(Experts(ExpertsConfig.from_dict(config["network"])))
        if config["architecture"] == "adm":
            with torch.device("meta"):
                adm = ADMUNet(ADMConfig.from_dict(config["network"]))
            return VPDenoiser(adm, clip=bool(config.get("clip", True)))
    except KeyError as error:
        raise IptError(f"config.json has no {error}: restore the weights' own") from None
    except IptError:
        raise
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise IptError(f"config.json describes no network ({error}): restore the weights' own") from None
    known = ", ".join((*_TRAINED, "experts"))
    raise IptError(f"config.json asks for architecture {config['architecture']!r}; this version has {known} and adm")


def _fill(network: nn.Module, weights: Weights) -> None:
    """Put the file's parameters into the network; IptError naming what does not fit."""
    wanted = network.state_dict()
    state = {name: value for name, value in weights.state.items() if name not in _PROCESS}
    troubles = {
        "missing": [name for name in wanted if name not in state],
        "unexpected": [name for name in state if name not in wanted],
        "of another shape": [n for n, value in wanted.items() if n in state and state[n].shape != value.shape],
    }
    told = [f"{len(names)} {kind} ({', '.join(names[:3])})" for kind, names in troubles.items() if names]
    if told:
        raise IptError(
            f"{weights.file} does not fit the network of its config: parameters {'; '.join(told)}. "
            f"Give weights and config.json that belong together"
        )
    network.load_state_dict(state, assign=True)


def _logarithms(levels: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Of noise levels, and of the root mean square errors at them, from pairs (level, mean squared error)."""
    pairs = [(math.log(sigma), 0.5 * math.log(error)) for sigma, error in levels if sigma > 0 and error > 0]
    return [level for level, _ in pairs], [error for _, error in pairs]


def _continued(picture: Tensor, height: int, width: int) -> Tensor:
    """A picture (B, C, H, W) mirrored beyond its lower and right edges, where it has pixels enough, else drawn out."""
    down, across = height - picture.shape[-2], width - picture.shape[-1]
    if not down and not across:
        return picture
    enough = down < picture.shape[-2] and across < picture.shape[-1]
    return F.pad(picture, (0, across, 0, down), mode="reflect" if enough else "replicate")


def _as(value: Tensor, like: Tensor) -> Tensor:
    return value.to(like.dtype).contiguous()


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
