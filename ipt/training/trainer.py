"""Training a denoiser: the EDM objective, an exponential moving average, and a state that survives a kill.

    L = E_{x, sigma, n} lambda(sigma) ||D(x + sigma n, sigma) - x||^2,   ln sigma ~ N(mean, std^2)

Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (arXiv 2206.00364), section 5.
Runs on torch and numpy alone, so a checkout trains on any machine that has them:

    python -m ipt.training options.json

Every random number of step n comes from (seed, n), and the whole state is written atomically: a run that is killed and
started again ends where an undisturbed run would.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.core.precision import computing
from ipt.priors.edm import EDMDenoiser
from ipt.priors.refined import NetworkConfig, Refined, RefinedConfig, RefinedDenoiser, denoiser_of
from ipt.priors.unet import UNetConfig
from ipt.training import state as states
from ipt.training.options import TrainingOptions, changed, differences
from ipt.training.prefetch import prefetched
from ipt.training.sources import Source
from ipt.training.start import Start
from ipt.training.validation import VALIDATION_SIGMAS, validate

__all__ = ["VALIDATION_SIGMAS", "Diverged", "Report", "Trainer", "TrainingOptions", "UNetConfig", "validate"]

_READ_EVERY = 20
"""Steps between looks at the loss on an accelerator, where looking means waiting for it."""


class Diverged(IptError):
    """The loss or a gradient is no finite number any more."""


@dataclass(frozen=True)
class Report:
    """Progress after a step: examples seen and wanted, smoothed loss, examples a second, validation if it was run."""

    images: int
    total: int
    loss: float
    rate: float
    validation: dict[float, float] | None = None


class Trainer:
    """Trains a `UNet` denoiser from a source, keeping its state in `folder`/state.pt, from which it continues.

    `steps()` yields a Report a step; `run()` runs it to the end. The averaged weights are in `denoiser()`.
    accept_changes: continue also where options or examples differ from those of the state. start: weights to begin with
    where there is no state; the examples they had seen count. A state that began with other weights is refused. base:
    the prior of half the side, which a `RefinedConfig` needs where there is neither state nor start; it stays as it is.

    IptError: source and network do not fit; the start fits neither, or has seen `images` already; the state is damaged,
    of another start or another network; other options or examples than the state's, with the differences.
    """

    def __init__(
        self,
        network: NetworkConfig,
        source: Source,
        options: TrainingOptions,
        folder: str | os.PathLike[str],
        accept_changes: bool = False,
        start: Start | None = None,
        base: Start | None = None,
    ):
        _check_fit(network, source)
        self.network, self.source, self.options = network, source, options
        self.folder = Path(folder)
        self.images = 0
        self.history: list[dict[str, Any]] = []
        self.origin: states.Origin | None = None
        self.base: states.Origin | None = None
        self.device = torch.device(options.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.model = denoiser_of(network, options.sigma_data)
            self.average = denoiser_of(network, options.sigma_data)
        for module in (self.model, self.average):
            module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average.load_state_dict(self.model.state_dict())
        self._trained: list[Tensor] = [value for value in self.model.parameters() if value.requires_grad]
        self._averaged: list[Tensor] = [
            kept
            for kept, value in zip(self.average.parameters(), self.model.parameters(), strict=True)
            if value.requires_grad
        ]
        self.average.requires_grad_(False)
        self.optimizer = torch.optim.Adam(self._trained, betas=(0.9, 0.99), fused=True)
        self._stopping = False
        self._smoothed: Tensor | None = None
        if self.state_path.exists():
            self._load(accept_changes, start, base)
        elif start is not None:
            self._begin(start)
        elif base is not None:
            self._refine(base)

    @property
    def state_path(self) -> Path:
        return self.folder / "state.pt"

    @property
    def finished(self) -> bool:
        """Trained to its length and validated."""
        return self.images >= self.options.images and self._validated() == self.images

    def denoiser(self) -> EDMDenoiser | RefinedDenoiser:
        """The denoiser with averaged weights."""
        return self.average

    def run(self) -> None:
        for _ in self.steps():
            pass

    def stop(self) -> None:
        """End `steps()` after the step it is in, the state saved. May be called from a signal handler."""
        self._stopping = True

    def steps(self) -> Iterator[Report]:
        """Train; a Report a step. Raises Diverged, the last good state kept on disk."""
        options = self.options
        model: Callable[..., Tensor] = torch.compile(self.model) if options.compile else self.model
        # The rate is taken over the last half minute, so that it means "now" on a shared machine.
        window: list[tuple[float, int]] = [(time.monotonic(), self.images)]
        self._stopping = False
        loss = self._read_loss()
        with closing(prefetched(self._batch, self.images // options.batch)) as batches:
            while not self.finished and not self._stopping:
                before = self.images
                if self.images < options.images:
                    self._step(model, *next(batches))
                    if self.device.type == "cpu" or self.images // options.batch % _READ_EVERY == 0:
                        loss = self._checked_loss()
                ended = self.images >= options.images
                if ended or self.images // options.save_every > before // options.save_every:
                    self.save()
                validation = None
                if ended or self.images // options.validate_every > self._validated() // options.validate_every:
                    validation = self.validate()
                    if validation is not None:
                        entry = {"images": self.images, "loss": self._checked_loss(), "validation": validation}
                        self.history.append(entry)
                        self.save()
                window.append((time.monotonic(), self.images))
                while len(window) > 2 and window[-1][0] - window[0][0] > 30:
                    window.pop(0)
                elapsed = window[-1][0] - window[0][0]
                rate = (window[-1][1] - window[0][1]) / elapsed if elapsed > 0 else 0.0
                yield Report(self.images, options.images, loss, rate, validation)
        if self._stopping:
            self.save()

    def validate(self, sigmas: tuple[float, ...] = VALIDATION_SIGMAS) -> dict[float, float] | None:
        """Mean squared error of the averaged denoiser on held-out examples, by noise level; None when stopped in it."""
        options = self.options
        return validate(
            self.average,
            self.source,
            sigmas,
            options.validation_images,
            self.device,
            options.precision,
            lambda: self._stopping,
        )

    def save(self) -> None:
        """Write the whole state; the file is the old one or the new one, never a part. Raises Diverged, IptError."""
        loss = self._checked_loss()
        about = states.About(
            self.network,
            self.options,
            self.history,
            self.images,
            loss,
            self.source.identity(),
            str(self.source),
            self.origin,
            self.base,
            self.source.kernels,
        )
        tensors = {name: getattr(self, name).state_dict() for name in states.TENSORS}
        states.write(self.state_path, about, tensors)

    def _batch(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Clean examples, noise levels and noise of step `number`, on their way to the device."""
        options = self.options
        clean = self.source.batch(options.seed, number, options.batch)
        numbers = torch.Generator().manual_seed(int(np.random.default_rng([options.seed, number, 1]).integers(2**62)))
        sigma = (options.sigma_mean + options.sigma_std * torch.randn(len(clean), generator=numbers)).exp()
        if self.device.type != "cpu":
            # Drawn where it is used: an accelerator makes noise faster than it is copied there.
            numbers = torch.Generator(self.device).manual_seed(numbers.initial_seed())
        noise = torch.randn(clean.shape, generator=numbers, device=self.device)
        clean = clean.contiguous(memory_format=torch.channels_last)
        if self.device.type == "cuda" and clean.device.type == "cpu":
            clean, sigma = clean.pin_memory(), sigma.pin_memory()
        return (
            clean.to(self.device, non_blocking=True),
            sigma.to(self.device, non_blocking=True),
            noise.contiguous(memory_format=torch.channels_last),
        )

    def _step(self, model: Callable[..., Tensor], clean: Tensor, sigma: Tensor, noise: Tensor) -> None:
        options = self.options
        with computing(options.precision, self.device):
            estimate = model(clean + sigma[:, None, None, None] * noise, sigma)
        error = (estimate.float() - clean).square().mean((1, 2, 3))
        loss = (self.model.loss_weight(sigma) * error).mean()
        loss.backward()
        progress = self.images / options.images
        # The optimizer's moments began with this run, so the warm-up does; all else counts from the first example.
        rise = min(1.0, (self.images - self._begun + options.batch) / max(1, options.warmup))
        for group in self.optimizer.param_groups:
            group["lr"] = options.rate * rise * (1 - progress)
        norm = torch.nn.utils.clip_grad_norm_(self._trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.images += options.batch
        halflife = options.ema * self.images
        keep = 0.5 ** (options.batch / max(halflife, 1e-9))
        with torch.no_grad():
            torch._foreach_lerp_(self._averaged, self._trained, 1 - keep)
        # A gradient that is not finite spoils the weights before the loss shows it: the followed value becomes NaN.
        value = loss.detach() + 0 * norm
        self._smoothed = value if self._smoothed is None else self._smoothed + 0.02 * (value - self._smoothed)

    def _validated(self) -> int:
        """Examples seen at the last validation, or where the run began."""
        return self.history[-1]["images"] if self.history else self._begun

    @property
    def _begun(self) -> int:
        return self.origin.images if self.origin else 0

    def _read_loss(self) -> float:
        return math.nan if self._smoothed is None else float(self._smoothed)

    def _checked_loss(self) -> float:
        loss = self._read_loss()
        if self._smoothed is not None and not math.isfinite(loss):
            kept = f"{self.state_path} keeps the last good state" if self.state_path.exists() else "nothing was saved"
            raise Diverged(
                f"the training diverged (the loss or a gradient is not finite) at {self.images:,} examples; {kept}.\n"
                f"Continue it with a smaller rate or in fp32 (--change allows that), or check the training examples."
            )
        return loss

    def _begin(self, start: Start) -> None:
        start.check(self.network, self.options)
        self.origin, self.images, self.history = start.origin, start.origin.images, list(start.history)
        self.base = start.origin.base
        for module in (self.model, self.average):
            module.network.load_state_dict(start.parameters)

    def _refine(self, base: Start) -> None:
        self.base = base.origin
        for module in (self.model, self.average):
            if not isinstance(module.network, Refined):
                raise TypeError("a base is for a network that refines it")
            module.network.base.load_state_dict(base.parameters)

    def _load(self, accept_changes: bool, start: Start | None, base: Start | None) -> None:
        about, tensors = states.read(self.state_path, self.options.device)
        if start is not None and (about.start is None or about.start.sha256 != start.origin.sha256):
            raise IptError(
                f"{self.state_path} began with {about.start or 'random weights'}, not with {start.origin}.\n"
                f"Leave the start out to continue it, or give another folder to begin anew."
            )
        if base is not None and (about.base is None or about.base.sha256 != base.origin.sha256):
            raise IptError(
                f"{self.state_path} refines {about.base or 'nothing'}, not {base.origin}.\n"
                f"Leave --refine out to continue it, or give another folder to begin anew."
            )
        if about.network != self.network:
            told = "; ".join(differences(about.network.to_dict(), self.network.to_dict()))
            raise IptError(
                f"{self.state_path} holds another network ({told}).\nGive the same options, or another folder."
            )
        found = changed(about.options, self.options)
        if about.source is not None:
            found += differences(about.source, self.source.identity())
        if found and not accept_changes:
            raise IptError(
                f"{self.state_path} was trained otherwise ({'; '.join(found)}).\n"
                f"Give the same to continue it, another folder to start anew, or --change to go on with the new."
            )
        self.images, self.history, self.origin = about.images, list(about.history), about.start
        self.base = about.base
        if not math.isnan(about.loss):
            self._smoothed = torch.tensor(about.loss, device=self.device)
        for name in states.TENSORS:
            getattr(self, name).load_state_dict(tensors[name])


def _check_fit(network: NetworkConfig, source: Source) -> None:
    if isinstance(network, RefinedConfig) and any(sides != (network.side,) * 2 for sides in source.sides):
        told = " and ".join(f"{height}x{width}" for height, width in source.sides)
        raise IptError(
            f"the network refines pictures of {network.side}x{network.side}, the training examples are {told}: "
            f"give pictures of its size"
        )
    if network.channels != source.channels:
        raise IptError(
            f"the network has {network.channels} channels, the training examples {source.channels}: make them equal"
        )
    for height, width in source.sides:
        if height % network.multiple or width % network.multiple:
            raise IptError(
                f"the network takes sides that are multiples of {network.multiple}, the training examples are "
                f"{height}x{width}: choose another size, or other network.patch and network.multipliers"
            )
