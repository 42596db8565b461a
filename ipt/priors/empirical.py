"""Any set of samples as a diffusion prior: its denoiser is exact, with nothing trained.

    E[x | z] = sum_i w_i x_i,   w = softmax_i(-||z - x_i||^2 / (2 sigma^2))

So an operator's new parameter has a prior as soon as somebody can draw it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError, Lacking
from ipt.core.operator import Generator
from ipt.core.prior import Posterior, Prior
from ipt.linalg.covariances import Isotropic
from ipt.linalg.normalization import Normalization
from ipt.linalg.random import image_seed

_CHUNK = 1024
"""Samples drawn or compared at a time."""


@dataclass(frozen=True)
class _Bank:
    """Normalised samples less their mean, (N, C, H, W) and (C, H, W) in float32, and the root mean square deviation."""

    samples: Tensor
    mean: Tensor
    std: float

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.samples.shape[1:])

    def chunks(self, like: Tensor) -> Iterator[Tensor]:
        for chunk in self.samples.split(_CHUNK):
            yield chunk.flatten(1).to(like)


class EmpiricalPrior(Prior):
    """The samples themselves are the prior.

    Args:
        samples: a .npy or .npz file (its first array, or the one called "samples"), or a tensor, (N, C, H, W) or
            (N, H, W) for one channel, in physical units; or, instead, a generator.
        generator: draws samples of the shape that is asked for.
        count: how many it draws.
        seed: from which on.
        floor: the noise level never counts as less than this. The exact denoiser of finitely many samples ends on the
            nearest of them; with a floor it stays a mean of those near. 0: none.
        normalise: "peak": each sample is divided by its largest entry, and 0..1 is -1..1 (kernels, whose sum the
            operator sets again); "none": normalized = (physical - offset) / scale.
        scale: with normalise=none.
        offset: with normalise=none.
    """

    def __init__(
        self,
        samples: str | os.PathLike[str] | Tensor | None = None,
        generator: Generator | None = None,
        count: int = 10_000,
        seed: int = 0,
        floor: float = 0.6,
        normalise: str = "peak",
        scale: float = 0.5,
        offset: float = 0.5,
    ):
        if (samples is None) == (generator is None):
            kind = Lacking if samples is None else IptError
            raise kind("an empirical prior has samples or a generator: give one, as samples=FILE or generator=NAME")
        if normalise not in ("peak", "none"):
            raise IptError(f"normalise is peak or none, not {normalise!r}")
        if normalise == "peak" and (scale, offset) != (0.5, 0.5):
            raise IptError("normalise=peak has scale .5 and offset .5: give normalise=none with your own")
        if not (math.isfinite(scale) and math.isfinite(offset)) or scale == 0:
            raise IptError(
                f"a normalization needs a finite scale that is not 0 and a finite offset, not {scale} and {offset}"
            )
        if not floor >= 0 or count < 1:
            raise IptError(f"an empirical prior needs floor >= 0 and count >= 1, not floor={floor}, count={count}")
        self.floor, self.count, self.seed = float(floor), int(count), int(seed)
        self.normalise, self.scale, self.offset = normalise, float(scale), float(offset)
        self._generator = generator
        self._bank = None if samples is None else self._normalised(_read(samples))

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        shape = self._for(tuple(shape)).shape
        return Normalization(shape, shape, self.scale, self.offset)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        bank = self._for(tuple(noisy.shape[1:]))
        level = max(sigma, self.floor)
        # Distances do not change with the origin; about the samples' mean, less is lost to rounding.
        centre = bank.mean.to(noisy)
        flat = (noisy - centre).flatten(1)
        # Of ||z - x||^2 only what differs between samples matters.
        scores = torch.cat(
            [(flat @ chunk.T - 0.5 * chunk.square().sum(1)) / level**2 for chunk in bank.chunks(noisy)], dim=1
        )
        weights = scores.softmax(dim=1).split(_CHUNK, dim=1)
        mean = torch.zeros_like(flat)
        for weight, chunk in zip(weights, bank.chunks(noisy), strict=True):
            mean = mean + weight @ chunk
        return centre + mean.reshape(noisy.shape)

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """With the variance of a Gaussian of the samples' own deviation, at no less than the floor."""
        std = self._for(tuple(noisy.shape[1:])).std
        deviation = std / math.sqrt(1 + (std / max(sigma, self.floor)) ** 2)
        return Posterior(self.denoise(noisy, sigma), Isotropic.like(noisy, deviation))

    def _for(self, shape: tuple[int, ...]) -> _Bank:
        """The samples of a shape; a generator draws them when it is first asked for it, and keeps the last shape's."""
        bank = self._bank
        if bank is not None and bank.shape == shape:
            return bank
        if self._generator is None:
            assert bank is not None
            raise IptError(f"the prior's samples are {bank.shape}, what is asked for is {shape}: give others")
        seeds = [image_seed(self.seed, f"sample {i}") for i in range(self.count)]
        parts = [self._generator.sample(seeds[i : i + _CHUNK], shape) for i in range(0, self.count, _CHUNK)]
        drawn = torch.cat(parts)
        if tuple(drawn.shape[1:]) != shape:
            raise IptError(f"the prior's generator draws {tuple(drawn.shape[1:])}, what is asked for is {shape}")
        self._bank = self._normalised(drawn)
        return self._bank

    def _normalised(self, physical: Tensor) -> _Bank:
        physical = physical.float()
        if not torch.isfinite(physical).all():
            raise IptError("the prior's samples have NaN or infinite values")
        if self.normalise == "peak":
            peak = physical.amax((1, 2, 3), keepdim=True)
            if not (peak > 0).all():
                raise IptError("a sample without a positive entry cannot be normalised to its peak: use normalise=none")
            physical = physical / peak
        samples = (physical - self.offset) / self.scale
        mean = samples.mean(0)
        samples = samples - mean
        return _Bank(samples, mean, float(samples.square().mean().sqrt()))


def _read(samples: str | os.PathLike[str] | Tensor) -> Tensor:
    if isinstance(samples, Tensor):
        tensor, name = samples, "the tensor of samples"
    else:
        file = Path(samples).expanduser()
        name = str(file)
        try:
            # allow_pickle=False: a file cannot run code.
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.lib.npyio.NpzFile):
                with loaded:
                    loaded = loaded["samples" if "samples" in loaded.files else loaded.files[0]]
            tensor = torch.from_numpy(loaded.astype(np.float32))
        except FileNotFoundError:
            raise IptError(f"no samples at {file}: give samples the path of a .npy or .npz file") from None
        except (OSError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError) as error:
            raise IptError(f"{file} is not a readable .npy or .npz file of numbers ({error})") from None
    if tensor.ndim == 3:
        tensor = tensor[:, None]
    if tensor.ndim != 4 or not tensor.numel():
        raise IptError(f"{name} is {tuple(tensor.shape)}: samples are (number, channels, height, width), at least one")
    return tensor
