"""The hooks of `ipt`, which a package implements in a module that its pyproject.toml names.

    [project.entry-points.ipt]
    my-package = "my_package"

A hook takes no arguments and returns (or yields) `ipt.Component`s. A factory given as "module:attribute" is imported
when the component is built, so listing stays quick. `ipt plugins` says what was loaded, and why something was not.

A module may state the version of the hooks that it was written for, `IPT_HOOKS = 2`: a later version than this `ipt`
has is then named as the reason for what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import pluggy

from ipt.plugins.component import Component

VERSION = 2
"""The version of the hooks, which grows by one when a hook is added, removed or changed."""

REMOVED: Mapping[str, str] = MappingProxyType({})
"""Hooks of earlier versions, and what to do instead."""

GONE: Mapping[str, str] = MappingProxyType(
    {
        "chart": "`normalization(shape)`, which returns an ipt.Normalization",
        "estimate": "`posterior(noisy, sigma)`, which returns an ipt.Posterior",
        "uncertainty": "the covariance of `posterior(noisy, sigma)`",
        "spread": "the covariance of `posterior(noisy, sigma)`",
        "prior_spread": "the prior_covariance of `posterior(noisy, sigma)`",
        "sized": "`posterior(noisy, sigma)`, which sees the shape",
        "linear": "a base class, ipt.Linear",
        "takes_frames": "a base class, ipt.MultiFrame",
        "image_step": "with the base class ipt.ExactSteps, and takes an Observation",
        "parameter_step": "with the base class ipt.ExactSteps, and takes an Observation",
        "halved": "`coarser(image_shape)` of the base class ipt.Coarsenable",
        "canonical": "`canonicalize(image, parameters)` of the base class ipt.Canonicalizable",
        "restart": "with the base class ipt.CoarseToFine",
    }
)
"""Methods of the classes of version 1 of the hooks, and their replacements."""


def outdated(kind: type) -> str:
    """A message about methods of a component's class that belong to version 1 of the hooks; "" if it has none."""
    own = [base for base in kind.__mro__ if base.__module__.partition(".")[0] == "ipt"]
    found = [name for name in GONE if hasattr(kind, name) and not any(name in vars(base) for base in own)]
    changes = "; ".join(f"its `{name}` is now {GONE[name]}" for name in found)
    return changes and f"it was written for version 1 of the hooks, and this ipt has version {VERSION}: {changes}"


hookspec = pluggy.HookspecMarker("ipt")
hookimpl = pluggy.HookimplMarker("ipt")


@hookspec
def ipt_operators() -> Iterable[Component]:  # type: ignore[empty-body]
    """Forward models y = A_phi(x): each factory returns an `ipt.ParametricOperator`.

    import ipt

    class Gain(ipt.ParametricOperator):
        def parameters(self, image_shape):
            return {"gain": ipt.ParameterSpec((image_shape[0], 1, 1), "brightness of a channel", range=(0, 1.5))}

        def forward(self, image, gain):
            return gain * image

    @ipt.hookimpl
    def ipt_operators():
        return [ipt.Component("gain", Gain, "channels dimmed by unknown factors")]
    """


@hookspec
def ipt_priors() -> Iterable[Component]:  # type: ignore[empty-body]
    """What is known of an image or a parameter beforehand: each factory returns an `ipt.Prior`.

    import ipt

    class Dark(ipt.Prior):
        def normalization(self, shape):
            return ipt.Normalization(shape, shape, scale=0.5, offset=0.5)

        def denoise(self, noisy, sigma):
            return -0.8 + (noisy + 0.8) / (1 + (sigma / 0.3) ** 2)

    @ipt.hookimpl
    def ipt_priors():
        return [ipt.Component("dark", Dark, "pixels normal about a dark grey, independent")]
    """


@hookspec
def ipt_guidance() -> Iterable[Component]:  # type: ignore[empty-body]
    """How the measurement corrects the unknowns at a step: each factory returns an `ipt.GuidanceRule`.

    import torch
    import ipt
    from ipt.sampling import schedules, transitions

    class Downhill(ipt.GuidanceRule):
        needs_gradients = False

        def __init__(self, rate: float = 1.0):
            self.rate = rate

        def schedule(self, steps=None):
            return schedules.Karras(steps or 100)

        def transition(self):
            return transitions.DDIM(eta=1.0)

        def correct(self, step, problem):
            with torch.enable_grad():
                image = step.clean["image"].detach().requires_grad_()
                misfit = problem.residual({**step.clean, "image": image}).square().sum()
                (slope,) = torch.autograd.grad(misfit, image)
            return ipt.Correction(clean={"image": step.clean["image"] - self.rate * slope})

    @ipt.hookimpl
    def ipt_guidance():
        return [ipt.Component("downhill", Downhill, "a gradient step on the image; parameters as their priors say")]
    """


@hookspec
def ipt_generators() -> Iterable[Component]:  # type: ignore[empty-body]
    """Random draws of a parameter, to simulate and to train with: each factory returns an `ipt.Generator`.

    import torch
    import ipt

    class Squares(ipt.Generator):
        def sample(self, seeds, shape):
            rows, columns = (torch.arange(side) - side // 2 for side in shape[-2:])
            kernels = torch.zeros(len(seeds), *shape)
            for kernel, seed in zip(kernels, seeds, strict=True):
                reach = torch.rand(1, generator=torch.Generator().manual_seed(seed)) * (min(shape[-2:]) - 1) / 2
                kernel += (reach + 0.5 - rows[:, None].abs()).clamp(0, 1) * (reach + 0.5 - columns.abs()).clamp(0, 1)
            return kernels / kernels.sum((-2, -1), keepdim=True)

    @ipt.hookimpl
    def ipt_generators():
        return [ipt.Component("squares", Squares, "square blur kernels of any width")]
    """


@hookspec
def ipt_commands() -> Iterable[Component]:  # type: ignore[empty-body]
    """Subcommands of `ipt`: each factory is a `click.Command`, best named as "module:attribute".

    import click
    import ipt

    @click.command()
    @click.argument("file", type=click.Path(exists=True))
    def size(file):
        "Print the width and height of FILE."
        from ipt.images import files

        _, height, width = files.read(file).shape
        click.echo(f"{width} x {height} px")

    @ipt.hookimpl
    def ipt_commands():
        return [ipt.Component("size", size, "Print the size of a picture.")]
    """
