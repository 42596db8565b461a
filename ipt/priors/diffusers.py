"""Diffusion models in diffusers' format as priors: a UNet2DModel with the noise schedule of its scheduler.

x_vp = z / sqrt(1 + sigma^2),   F = network(x_vp, t(sigma)),   sigma(t) = sqrt((1 - abar_t) / abar_t)

epsilon        clean = z - sigma F                                          (Ho et al., arXiv 2006.11239)
v_prediction   clean = z / (1 + sigma^2) - sigma / sqrt(1 + sigma^2) F      (Salimans, Ho, arXiv 2202.00512)
sample         clean = F
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ipt.core.errors import IptError, first_line
from ipt.core.prior import Posterior, Prior
from ipt.extras import imported
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.priors.diffusers_folder import find
from ipt.priors.pictures import PictureSizes, squares
from ipt.priors.precision import check_range, checked, checked_device, computing
from ipt.priors.weights import read

_CLEAN: Mapping[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "epsilon": lambda noisy, raw, sigma: noisy - sigma * raw,
    "v_prediction": lambda noisy, raw, sigma: noisy / (1 + sigma**2) - sigma / math.hypot(1, sigma) * raw,
    "sample": lambda noisy, raw, sigma: raw,
}
_RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Present names of attention parameters, by their names in older versions of diffusers."""


class DiffusersPrior(Prior):
    """A UNet2DModel of diffusers as a prior, with its scheduler's noise levels, prediction type and clipping.

    Args:
        network: the model. It is put into evaluation mode and frozen; gradients with respect to `noisy` flow through
            it.
        scheduler: a scheduler of diffusers with `alphas_cumprod`.
        device: where the model runs, and where `noisy` must be.
        precision: a precision of `ipt.priors.precision`.
        name: its name in error messages.
        weights_hash: sha256 of the file of weights.
        scale: physical = offset + scale * normalized.
        offset: see scale.
        sizes: sides of the squares that it takes; None: the network's sample_size, or where it has none, all heights
            and widths that it can halve.

    Raises:
        IptError: a model of another kind: not of a variance-preserving process, conditioned on a class, ...
    """

    def __init__(
        self,
        network: nn.Module,
        scheduler: Any,
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        name: str = "this model",
        weights_hash: str = "",
        scale: float = 0.5,
        offset: float = 0.5,
        sizes: Sequence[int] | None = None,
    ):
        config: Any = network.config
        levels, self.predicts = _process(scheduler, name)
        if getattr(network, "class_embedding", None) is not None:
            raise IptError(f"{name} wants the class of the picture, which is not known: choose an unconditional model")
        if config.out_channels not in (config.in_channels, 2 * config.in_channels):
            raise IptError(
                f"{name} makes {config.out_channels} channels of {config.in_channels}: it is no denoiser of pictures"
            )
        own = config.sample_size
        trained = squares(own) if own is None or isinstance(own, int) else (tuple(own),)
        multiple = 2 ** (len(config.block_out_channels) - 1)
        chosen = trained if sizes is None else squares(sizes)
        self._sizes = PictureSizes(name, config.in_channels, chosen, multiple, scale, offset)
        self._levels = levels
        self._whole_steps = config.time_embedding_type == "learned"
        self._learned_variance = scheduler.config.get("variance_type") == "learned_range"
        self._limit = scheduler.config.get("clip_sample_range", 1.0) if scheduler.config.get("clip_sample") else None
        self.name, self.weights_hash = name, weights_hash
        self.device = checked_device(name, device)
        self.precision = checked(precision, self.device)
        try:
            self.network = network.eval().requires_grad_(False).to(self.device)
        except RuntimeError as error:
            raise IptError(f"cannot run {name} on {device} ({first_line(error)}): give another device") from None

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        return self._sizes.normalization(shape)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        return self._estimate(noisy, sigma)[0]

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        mean, interpolation = self._estimate(noisy, sigma)
        return Posterior(mean, Isotropic.behind(noisy, sigma), interpolation)

    def _estimate(self, noisy: Tensor, sigma: float) -> tuple[Tensor, Tensor | None]:
        weight = next(self.network.parameters())
        times = torch.full((len(noisy),), self._timestep(sigma), dtype=torch.float32, device=noisy.device)
        inputs = (noisy / math.hypot(1, sigma)).to(weight.dtype)
        with computing(self.precision, noisy.device):
            raw = self.network(inputs, times.round().long() if self._whole_steps else times).sample.to(noisy.dtype)
        check_range(raw, noisy, self.precision, self.name)
        channels = noisy.shape[1]
        clean = _CLEAN[self.predicts](noisy, raw[:, :channels], sigma)
        if self._limit is not None:
            clean = clean.clamp(-self._limit, self._limit)
        interpolation = (raw[:, channels:] + 1) / 2 if self._learned_variance and raw.shape[1] > channels else None
        return clean, interpolation

    def _timestep(self, sigma: float) -> float:
        """The timestep of a noise level: linear in log sigma between the scheduler's levels, clipped to their ends."""
        return float(np.interp(math.log(sigma), self._levels, range(len(self._levels))))


def load(
    model: str | os.PathLike[str],
    device: str = "cpu",
    precision: str = "fp32",
    scale: float = 0.5,
    offset: float = 0.5,
    sizes: Sequence[int] | None = None,
) -> DiffusersPrior:
    """A prior from a model in diffusers' format: an unconditional UNet2DModel and its scheduler.

    Weights are safetensors, or a torch file that is read with weights_only.

    Args:
        model: a folder as diffusers saves it (a pipeline's, or one with config.json, the weights and
            scheduler_config.json in it), or OWNER/NAME on huggingface.co, fetched once to the usual cache;
            HF_HUB_OFFLINE, HF_HOME and HF_TOKEN are honoured.
        device: a torch device.
        precision: fp32, bf16 or fp16.
        scale: physical = offset + scale * normalized.
        offset: see scale.
        sizes: sides of the squares that it takes; None: the one it was trained on.

    Raises:
        IptError: there is no such model, or it is of another kind.
    """
    found = find(model)
    kind = found.config.get("_class_name", "model")
    others = [part for part in found.parts if part not in ("unet", "scheduler")]
    if kind != "UNet2DModel" or others:
        needs = f" with {' and '.join(others)}" if others else ""
        raise IptError(f"{model} holds a {kind}{needs}: only a UNet2DModel that works on pixels can be a prior here")
    network_class = imported("diffusers", "UNet2DModel")
    scheduler_class = imported("diffusers", str(found.scheduler.get("_class_name", "DDPMScheduler")))
    weights = read(found.weights)
    try:
        # Random initial weights must not advance the caller's random numbers.
        with torch.random.fork_rng(devices=[]):
            network = network_class.from_config(dict(found.config))
        scheduler = scheduler_class.from_config(dict(found.scheduler))
        network.load_state_dict({_present_name(key): value for key, value in weights.state.items()})
    except (RuntimeError, TypeError, ValueError, KeyError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise IptError(f"{weights.file} and its configs do not make a model ({reason}): restore them") from None
    return DiffusersPrior(network, scheduler, device, precision, str(model), weights.sha256, scale, offset, sizes)


def _process(scheduler: Any, name: str) -> tuple[np.ndarray, str]:
    """Log sigma of every timestep, rising, and the prediction type; IptError where the scheduler has others."""
    bar = getattr(scheduler, "alphas_cumprod", None)
    predicts = scheduler.config.get("prediction_type", "epsilon")
    if bar is None or predicts not in _CLEAN:
        raise IptError(
            f"{name} was trained for a {type(scheduler).__name__} that predicts {predicts}: only variance-preserving "
            f"schedulers (DDPM, DDIM, PNDM, ...) that predict {', '.join(_CLEAN)} are supported"
        )
    # Some schedules end with pure noise, where sigma would be infinite.
    bar = np.asarray(bar, np.float64).clip(min=2.0**-40)
    return 0.5 * np.log((1 - bar) / bar), predicts


def _present_name(key: str) -> str:
    """The present name of a parameter that may have a name of an older version of diffusers."""
    layer, _, kind = key.rpartition(".")
    path, _, last = layer.rpartition(".")
    return f"{path}.{_RENAMED[last]}.{kind}" if last in _RENAMED else key
