"""The hooks of `ipt`. A package offers components by implementing any of them in a module named in its pyproject.toml:

    [project.entry-points.ipt]
    my-package = "my_package.plugin"

A hook takes no arguments and returns (or yields) `ipt.Component`s. A factory given as "module:attribute" is imported
when the component is built, so listing stays quick. `ipt plugins` says what was loaded, and why something was not.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from ipt.plugins.component import Component

hookspec = pluggy.HookspecMarker("ipt")
hookimpl = pluggy.HookimplMarker("ipt")


@hookspec
def ipt_operators() -> Iterable[Component]:  # type: ignore[empty-body]
    """Forward models y = A_phi(x): each factory returns an `ipt.ParametricOperator`.

    import ipt

    @ipt.hookimpl
    def ipt_operators():
        return [ipt.Component("fog", "my_package.fog:Fog", "a grey veil of unknown depth", "Author, Title, 2026")]
    """


@hookspec
def ipt_priors() -> Iterable[Component]:  # type: ignore[empty-body]
    """What is known of an image or a parameter beforehand: each factory returns an `ipt.Prior`.

    import ipt

    @ipt.hookimpl
    def ipt_priors():
        return [ipt.Component("depth", "my_package.depth:DepthPrior", "smooth depth maps, in metres")]
    """


@hookspec
def ipt_guidance() -> Iterable[Component]:  # type: ignore[empty-body]
    """How the measurement corrects the unknowns at a step: each factory returns an `ipt.GuidanceRule`.

    import ipt

    @ipt.hookimpl
    def ipt_guidance():
        yield ipt.Component("nudge", "my_package.nudge:Nudge", "a small step downhill", "Author, Title, 2026")
    """


@hookspec
def ipt_generators() -> Iterable[Component]:  # type: ignore[empty-body]
    """Random draws of a parameter, to simulate and to train with: each factory returns an `ipt.Generator`.

    import ipt

    @ipt.hookimpl
    def ipt_generators():
        yield ipt.Component("hills", "my_package.depth:Hills", "depth maps of rolling hills")
    """
