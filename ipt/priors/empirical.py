"""Any set of samples as a diffusion prior, with an exact denoiser: nothing is trained.

    E[x | z] = sum_i w_i x_i,   w = softmax_i(-||z - x_i||^2 / (2 sigma^2))

So a new parameter of an operator has a prior as soon as there is a generator of it.
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
from ipt.priors.checks import check_affine

_CHUNK = 1024
"""Samples that are drawn, or compared, together."""


@dataclass(frozen=True)
class _Samples:
    """Normalized samples in float32.

    Attributes:
        deviations: samples less their mean, (N, C, H, W).
        mean: mean of the samples, (C, H, W).
        std: root mean square of the deviations.
    """

    deviations: Tensor
    mean: Tensor
    std: float

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of a sample."""
        return tuple(self.deviations.shape[1:])

    def chunks(self, like: Tensor) -> Iterator[Tensor]:
        """The deviations as rows, (up to `_CHUNK`, C H W), on the device and in the precision of `like`."""
        for chunk in self.deviations.split(_CHUNK):
            yield chunk.flatten(1).to(like)


class EmpiricalPrior(Prior):
    """The distribution of a set of samples.

    Args:
        samples: a .npy or .npz file (its array "samples", or else its first), or a tensor: (N, C, H, W), or (N, H, W)
            for one channel, in physical units. None: a generator draws them.
        generator: generator of samples of the wanted shape.
        count: number of samples that it draws.
        seed: seed of the samples that it draws.
        floor: least noise level of the denoiser, 0 or more. At low levels the exact denoiser of finitely many samples
            returns the nearest one; with a floor it returns a mean of near ones.
        normalise: "peak": each sample is divided by its largest entry, and 0..1 becomes -1..1, as for kernels, whose
            sum the operator restores; "none": normalized = (physical - offset) / scale.
        scale: physical over normalized values, with normalise=none.
        offset: physical value of a normalized 0, with normalise=none.

    Raises:
        IptError: options that contradict each other or are out of range, or samples that cannot be read.
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
        check_affine(scale, offset)
        if not floor >= 0 or count < 1:
            raise IptError(f"an empirical prior needs floor >= 0 and count >= 1, not floor={floor}, count={count}")
        self.floor, self.count, self.seed = float(floor), int(count), int(seed)
        self.normalise, self.scale, self.offset = normalise, float(scale), float(offset)
        self._generator = generator
        self._samples = None if samples is None else self._normalised(_read(samples))

    def normalization(self, shape: tuple[int, ...]) -> Normalization:
        shape = self._for(tuple(shape)).shape
        return Normalization(shape, shape, self.scale, self.offset)

    def denoise(self, noisy: Tensor, sigma: float) -> Tensor:
        samples = self._for(tuple(noisy.shape[1:]))
        level = max(sigma, self.floor)
        # Distances do not depend on the origin; with the samples' mean as origin the rounding errors are smaller.
        centre = samples.mean.to(noisy)
        flat = (noisy - centre).flatten(1)
        # ||z - x||^2 without ||z||^2, which is the same for all samples.
        scores = [(flat @ chunk.T - 0.5 * chunk.square().sum(1)) / level**2 for chunk in samples.chunks(noisy)]
        weights = torch.cat(scores, dim=1).softmax(dim=1).split(_CHUNK, dim=1)
        mean = torch.zeros_like(flat)
        for weight, chunk in zip(weights, samples.chunks(noisy), strict=True):
            mean = mean + weight @ chunk
        return centre + mean.reshape(noisy.shape)

    def posterior(self, noisy: Tensor, sigma: float) -> Posterior:
        """With the variance of a Gaussian of the samples' standard deviation, at a level of at least the floor."""
        std = self._for(tuple(noisy.shape[1:])).std
        deviation = std / math.sqrt(1 + (std / max(sigma, self.floor)) ** 2)
        return Posterior(self.denoise(noisy, sigma), Isotropic.like(noisy, deviation))

    def _for(self, shape: tuple[int, ...]) -> _Samples:
        """The samples of a shape. A generator draws them on the first request, and those of the last shape are kept."""
        samples = self._samples
        if samples is not None and samples.shape == shape:
            return samples
        if self._generator is None:
            assert samples is not None
            raise IptError(f"the prior's samples are {samples.shape}, what is asked for is {shape}: give others")
        seeds = [image_seed(self.seed, f"sample {i}") for i in range(self.count)]
        parts = [self._generator.sample(seeds[i : i + _CHUNK], shape) for i in range(0, self.count, _CHUNK)]
        drawn = torch.cat(parts)
        if tuple(drawn.shape[1:]) != shape:
            raise IptError(f"the prior's generator draws {tuple(drawn.shape[1:])}, what is asked for is {shape}")
        self._samples = self._normalised(drawn)
        return self._samples

    def _normalised(self, physical: Tensor) -> _Samples:
        physical = physical.float()
        if not torch.isfinite(physical).all():
            raise IptError("the prior's samples have NaN or infinite values")
        if self.normalise == "peak":
            peak = physical.amax((1, 2, 3), keepdim=True)
            if not (peak > 0).all():
                raise IptError("a sample without a positive entry cannot be normalised to its peak: use normalise=none")
            physical = physical / peak
        normalized = (physical - self.offset) / self.scale
        mean = normalized.mean(0)
        deviations = normalized - mean
        return _Samples(deviations, mean, float(deviations.square().mean().sqrt()))


def _read(samples: str | os.PathLike[str] | Tensor) -> Tensor:
    """Samples (N, C, H, W) of a file or tensor; IptError where it holds none."""
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
