"""Training a denoiser: the EDM objective, an exponential moving average, and a state that survives a kill.

    L = E_{x, sigma, n} lambda(sigma) ||D(x + sigma n, sigma) - x||^2,   ln sigma ~ N(mean, std^2)

Nothing but torch and numpy is needed. All random numbers of step n derive from (seed, n), and the state is written
atomically, so that a training that is killed and continued ends with the weights of an undisturbed one.

References:
    Karras, Aittala, Aila, Laine, "Elucidating the Design Space of Diffusion-Based Generative Models" (NeurIPS 2022,
    arXiv 2206.00364), section 5.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ipt.core.errors import IptError
from ipt.priors.precision import computing
from ipt.priors.refined import NetworkConfig, Refined, denoiser_of
from ipt.training import state as states
from ipt.training.checks import check_fit, check_state
from ipt.training.options import TrainingOptions
from ipt.training.prefetch import drawn, prefetched
from ipt.training.progress import Report
from ipt.training.sources import Source
from ipt.training.start import Start
from ipt.training.validation import VALIDATION_SIGMAS, validate

_READ_EVERY = 20
"""Steps between two readings of the loss on an accelerator; each waits for it to finish."""


class Diverged(IptError):
    """The loss or a gradient is not finite."""


class Trainer:
    """Trains a denoiser; its state is in `folder`/state.pt, from which a later trainer continues.

    Args:
        network: Configuration of the denoiser's network.
        source: Of the examples.
        options: Of the training.
        folder: Of the state.
        accept_changes: Whether to continue a state even if options or examples differ.
        start: Initial weights if there is no state; the examples that they were trained on count.
        base: Weights of a prior for half the side that a `RefinedConfig` refines, if there is neither a state nor a
            start; they are not trained.

    Attributes:
        average: the denoiser with averaged weights.
        images: number of examples seen.
        history: validations, as in `ipt.training.state.About`.

    Raises:
        IptError: Source, network and start do not fit each other; the start was trained on `options.images` examples
            or more; the state is damaged, or of another training.
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
        check_fit(network, source)
        self.network, self.source, self.options = network, source, options
        self.folder = Path(folder)
        self.images = 0
        self.history: list[dict[str, Any]] = []
        self.origin = start.origin if start else None
        self.base = base.origin if base else None
        self.device = torch.device(options.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.model = denoiser_of(network, options.sigma_data)
            self.average = denoiser_of(network, options.sigma_data)
        for module in (self.model, self.average):
            module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average.load_state_dict(self.model.state_dict())
        self._trained: list[Tensor] = [value for value in self.model.parameters() if value.requires_grad]
        pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
        self._averaged: list[Tensor] = [kept for kept, value in pairs if value.requires_grad]
        self.average.requires_grad_(False)
        self.optimizer = torch.optim.Adam(self._trained, betas=(0.9, 0.99), fused=True)
        self._stopping = False
        self._smoothed: Tensor | None = None
        if self.state_path.exists():
            self._load(accept_changes)
        elif start is not None:
            self._begin(start)
        elif base is not None:
            self._refine(base)

    @property
    def state_path(self) -> Path:
        """The file of the state."""
        return self.folder / "state.pt"

    @property
    def finished(self) -> bool:
        """Whether all examples are seen and the result is validated."""
        return self.images >= self.options.images and self._validated() == self.images

    def run(self) -> None:
        """Run `steps` to the end."""
        for _ in self.steps():
            pass

    def stop(self) -> None:
        """End `steps` after the current step and save the state; may be called from a signal handler."""
        self._stopping = True

    def steps(self) -> Iterator[Report]:
        """Train.

        Yields:
            A report after each step.

        Raises:
            Diverged: The loss or a gradient is not finite; the last finite state stays on disk.
        """
        options = self.options
        model: Callable[..., Tensor] = torch.compile(self.model) if options.compile else self.model
        rate = _Rate(self.images)
        self._stopping = False
        loss = self._read_loss()
        first = self.images // options.batch
        with (
            closing(drawn(self.source, options.seed, options.batch, first, options.workers)) as examples,
            closing(prefetched(lambda number: self._batch(number, next(examples)), first)) as batches,
        ):
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
                yield Report(self.images, options.images, loss, rate.after(self.images), validation)
        if self._stopping:
            self.save()

    def validate(self, sigmas: tuple[float, ...] = VALIDATION_SIGMAS) -> dict[float, float] | None:
        """Validate the averaged denoiser (`ipt.training.validation.validate`); None if it was stopped meanwhile."""
        count, precision = self.options.validation_images, self.options.precision
        return validate(self.average, self.source, sigmas, count, self.device, precision, lambda: self._stopping)

    def save(self) -> None:
        """Write the state, whole or not at all.

        Raises:
            Diverged: The loss is not finite.
            IptError: The state cannot be written.
        """
        tensors = {name: getattr(self, name).state_dict() for name in states.TENSORS}
        states.write(self.state_path, self._about(self._checked_loss()), tensors)

    def _about(self, loss: float) -> states.About:
        return states.About(
            network=self.network,
            options=self.options,
            history=self.history,
            images=self.images,
            loss=loss,
            source=self.source.identity(),
            examples=str(self.source),
            start=self.origin,
            base=self.base,
            kernels=self.source.kernels,
        )

    def _batch(self, number: int, clean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Clean examples, noise levels and noise of step `number`; copies to the device may still be in progress."""
        options = self.options
        numbers = torch.Generator().manual_seed(int(np.random.default_rng([options.seed, number, 1]).integers(2**62)))
        sigma = (options.sigma_mean + options.sigma_std * torch.randn(len(clean), generator=numbers)).exp()
        if self.device.type != "cpu":
            # Drawn on the accelerator, which is faster than copying the noise there.
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
        # The optimizer's moments start with this training, and so does the warm-up; the decay counts the examples of
        # the initial weights too.
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
        # A gradient that is not finite spoils the weights a step before the loss: it makes the smoothed loss NaN now.
        value = loss.detach() + 0 * norm
        self._smoothed = value if self._smoothed is None else self._smoothed + 0.02 * (value - self._smoothed)

    def _validated(self) -> int:
        """The number of examples seen at the last validation, or at the start."""
        return self.history[-1]["images"] if self.history else self._begun

    @property
    def _begun(self) -> int:
        """The number of examples that the initial weights were trained on."""
        return self.origin.images if self.origin else 0

    def _read_loss(self) -> float:
        return math.nan if self._smoothed is None else float(self._smoothed)

    def _checked_loss(self) -> float:
        loss = self._read_loss()
        if self._smoothed is not None and not math.isfinite(loss):
            kept = f"{self.state_path} keeps the last good state" if self.state_path.exists() else "nothing was saved"
            raise Diverged(
                f"the training diverged (the loss or a gradient is not finite) at {self.images:,} examples; {kept}.\n"
                f"Continue it with a smaller rate or in fp32 (change=True allows that), or check the training examples."
            )
        return loss

    def _begin(self, start: Start) -> None:
        start.check(self.network, self.options)
        self.images, self.history, self.base = start.origin.images, list(start.history), start.origin.base
        for module in (self.model, self.average):
            module.network.load_state_dict(start.parameters)

    def _refine(self, base: Start) -> None:
        for module in (self.model, self.average):
            if not isinstance(module.network, Refined):
                raise TypeError("a base is for a network that refines it")
            module.network.base.load_state_dict(base.parameters)

    def _load(self, accept_changes: bool) -> None:
        about, tensors = states.read(self.state_path, self.options.device)
        check_state(self.state_path, about, self._about(math.nan), accept_changes)
        self.images, self.history = about.images, list(about.history)
        self.origin, self.base = about.start, about.base
        if not math.isnan(about.loss):
            self._smoothed = torch.tensor(about.loss, device=self.device)
        for name in states.TENSORS:
            getattr(self, name).load_state_dict(tensors[name])


class _Rate:
    """Examples per second over the last half minute; images: seen before the first step."""

    def __init__(self, images: int):
        self._window: list[tuple[float, int]] = [(time.monotonic(), images)]

    def after(self, images: int) -> float:
        """The rate after a step, with the number of examples seen by then."""
        window = self._window
        window.append((time.monotonic(), images))
        while len(window) > 2 and window[-1][0] - window[0][0] > 30:
            window.pop(0)
        elapsed = window[-1][0] - window[0][0]
        return (window[-1][1] - window[0][1]) / elapsed if elapsed > 0 else 0.0
