"""Running the checks of installed components, by name, and of plugin packages; the findings are for `ipt check`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from unittest import SkipTest

from torch import Tensor

from ipt.core.errors import IptError, Lacking
from ipt.core.operator import Generator
from ipt.core.prior import Prior
from ipt.plugins.component import KINDS
from ipt.plugins.discovery import discover
from ipt.plugins.plans import Planner
from ipt.plugins.registry import Plugin, Registry
from ipt.testing.generators import generator_checks
from ipt.testing.guidance import guidance_checks
from ipt.testing.operators import operator_checks
from ipt.testing.prior_harness import SHAPES
from ipt.testing.priors import prior_checks
from ipt.testing.promises import BrokenPromise, Check, Promise, require, skip

Shape = tuple[int, ...] | None
_SAMPLES = 128
_ENTRY_POINT = "import sys; from ipt.plugins.discovery import discover; discover(); print('torch' in sys.modules)"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        component: "kind name", or the distribution.
        promise: name of the promise.
        status: "ok", "broken" or "skipped".
        seconds: time of the check.
        reason: what was found of a broken promise, or why it was skipped.
        fix: the remedy for a broken promise.
    """

    component: str
    promise: str
    status: Literal["ok", "broken", "skipped"]
    seconds: float
    reason: str = ""
    fix: str = ""


def component_findings(
    kind: str,
    spec: str,
    settings: Mapping[str, Any],
    shape: Shape = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Iterator[Finding]:
    """Check every promise of a component, one after the other.

    If it cannot be built, there is only that finding: "skipped" if it needs an option, weights or an optional package
    that is missing, else "broken".

    Args:
        kind: as for `ipt.plugins.building.build_component`.
        spec: as for `ipt.plugins.building.build_component`.
        settings: as for `ipt.plugins.building.build_component`.
        shape: (C, H, W) of the images (of a prior's or generator's quantity); None: one that it takes.
        device: where networks and the check `device` run.
        generator: of samples for a prior's check `conditional-mean`.
    """
    component = f"{kind} {spec}"
    builder = _Builder(kind, spec, settings, device)
    built = finding(Check(BUILDS, builder, spec), component)
    yield built
    if built.status == "ok":
        yield from findings(_checks(kind, builder.build(), shape, device, generator), component)


def package_findings(plugins: list[Plugin], registry: Registry) -> Iterator[Finding]:
    """Check the promises of a distribution's entry points; those of its components are not included."""
    package = _Package(plugins, registry)
    for promise in PACKAGE:
        yield finding(Check(promise, package, package.name), package.name)


def findings(checks: Sequence[Check], component: str) -> Iterator[Finding]:
    """Run checks, one after the other, as `ipt check` does.

    A check is skipped if it relies on a broken promise, or finds the same fault as another one.

    Args:
        checks: of one component.
        component: its name.
    """
    broken: dict[str, str] = {}
    root = ""
    # Roots first; the sort is stable.
    for check in sorted(checks, key=lambda each: not each.promise.root):
        promise = check.promise
        before = root or next((name for name in promise.after if name in broken), "")
        if before:
            yield Finding(component, promise.name, "skipped", 0.0, f"not tried: fix {before!r} first")
            continue
        found = finding(check, component)
        if found.status == "broken":
            same = next((name for name, reason in broken.items() if reason == found.reason), "")
            broken[promise.name] = found.reason
            root = promise.name if promise.root else ""
            if same:
                found = replace(found, status="skipped", reason=f"as {same!r}, which is broken", fix="")
        yield found


def finding(check: Check, component: str) -> Finding:
    """Run and time a check."""
    start = time.perf_counter()
    status: Literal["ok", "broken", "skipped"] = "ok"
    reason = fix = ""
    try:
        check()
    except SkipTest as skipped:
        status, reason = "skipped", str(skipped)
    except BrokenPromise as broken:
        status, reason, fix = "broken", broken.found, broken.fix
    return Finding(component, check.promise.name, status, time.perf_counter() - start, reason, fix)


def _checks(kind: str, made: Any, shape: Shape, device: str | None, generator: Generator | None) -> list[Check]:
    if kind == "operator":
        return operator_checks(made, image_shape=shape, device=device)
    if kind == "prior":
        samples = None if generator is None else _samples(made, generator, shape)
        return prior_checks(made, shape=shape, samples=samples, device=device)
    if kind == "guidance":
        return guidance_checks(made, image_shape=shape, device=device)
    return generator_checks(made, shape=shape)


def _samples(prior: Prior, generator: Generator, shape: Shape) -> Tensor:
    """Samples for a prior's checks, of a shape that both the prior and the generator take; IptError if none."""
    refusal = ""
    for each in (shape,) if shape else SHAPES:
        try:
            prior.normalization(each)
            drawn = generator.sample(range(_SAMPLES), each)
        except ValueError as error:
            refusal = str(error)
        else:
            if tuple(drawn.shape[1:]) == each:
                return drawn
            refusal = f"it draws {tuple(drawn.shape[1:])} for {each}"
    raise IptError(f"the generator draws nothing that the prior takes ({refusal}): give another, or a shape=")


@dataclass(frozen=True)
class _Builder:
    """A component that is not built yet."""

    kind: str
    spec: str
    settings: Mapping[str, Any]
    device: str | None

    def build(self) -> Any:
        return Planner(discover(), self.device).plan(self.kind, self.spec, self.settings, self.kind).build()


@dataclass(frozen=True)
class _Package:
    """The entry points of a distribution."""

    plugins: list[Plugin]
    registry: Registry

    @property
    def name(self) -> str:
        return self.plugins[0].distribution


def _loads(package: _Package) -> None:
    for plugin in package.plugins:
        # Names that others offer too are the finding of `names-free`.
        require(not plugin.faults, f"The entry point {plugin.name}: {plugin.faults}")


def _torch_free(package: _Package) -> None:
    # Only this package's plugins are loaded, by a Python of its own.
    environment = {**os.environ, "IPT_PLUGINS": package.name}
    done = subprocess.run([sys.executable, "-c", _ENTRY_POINT], capture_output=True, text=True, env=environment)
    require(done.returncode == 0, f"Python ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    require(done.stdout.split()[-1] == "False", "torch is imported with the module of the entry point, by it or for it")


def _names_free(package: _Package) -> None:
    for kind in KINDS:
        for entry in package.registry.of_kind(kind):
            owners = package.registry.owners(kind, entry.name)
            if entry.owner == package.name:
                require(len(owners) == 1, f"The {kind} {entry.name!r} is offered by {' and '.join(owners)}")


def _builds(builder: _Builder) -> None:
    try:
        builder.build()
    except Lacking as lacking:
        skip(f"not checked: {lacking}")


BUILDS = Promise(
    "builds",
    "the component can be imported and built with the options it is given",
    "set the options it needs (settings: KIND.OPTION=VALUE), or correct its factory: called with keyword options, it "
    "returns the operator, prior, rule or generator",
    _builds,
)
PACKAGE = (
    Promise(
        "loads",
        "the entry point can be loaded and everything its hooks offer is usable",
        "read the reason; docs/hooks.md has a whole example of every hook",
        _loads,
    ),
    Promise(
        "torch-free",
        "the entry point resolves without importing torch, so that `ipt list` stays quick",
        'name factories as "module:attribute" and keep the classes, and `import torch`, in the modules so named',
        _torch_free,
    ),
    Promise(
        "names-free",
        "no other package offers a component of the same kind and name",
        "choose another name, or one that begins with the package's",
        _names_free,
    ),
)
