"""The checks of what is installed: of one component by its name, and of a whole plugin package."""

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
from ipt.testing.prior_bench import SHAPES
from ipt.testing.priors import prior_checks
from ipt.testing.promises import BrokenPromise, Check, Promise, require, skip

Shape = tuple[int, ...] | None
_SAMPLES = 128
_ENTRY_POINT = "import sys; from ipt.plugins.discovery import discover; discover(); print('torch' in sys.modules)"


@dataclass(frozen=True)
class Finding:
    """What became of one promise.

    Attributes:
        component: "kind name", or the distribution.
        promise: its name.
        status: of it.
        seconds: that the trial took.
        reason: what was found of a broken promise, or why it was skipped.
        mend: what to do about a broken one.
    """

    component: str
    promise: str
    status: Literal["ok", "broken", "skipped"]
    seconds: float
    reason: str = ""
    mend: str = ""


def component_findings(
    kind: str,
    spec: str,
    settings: Mapping[str, Any],
    shape: Shape = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Iterator[Finding]:
    """Every promise of a component, tried one after the other; where it cannot be built, that alone.

    It is skipped where what it needs is not at hand (an option, weights, an optional package), else broken.

    Args:
        kind: as of `ipt.plugins.building.build_component`.
        spec: likewise.
        settings: likewise.
        shape: (C, H, W) of the images (of a prior or generator: of its quantity); None: one that it takes.
        device: where networks run, and the check `device`.
        generator: of samples of what a prior describes.
    """
    component = f"{kind} {spec}"
    workshop = _Workshop(kind, spec, settings, device)
    built = finding(Check(BUILDS, workshop, spec), component)
    yield built
    if built.status == "ok":
        yield from _findings(_checks(kind, workshop.build(), shape, device, generator), component)


def package_findings(plugins: list[Plugin], registry: Registry) -> Iterator[Finding]:
    """The promises of a distribution's entry points, without those of its components."""
    package = _Package(plugins, registry)
    for promise in PACKAGE:
        yield finding(Check(promise, package, package.name), package.name)


def _findings(checks: Sequence[Check], component: str) -> Iterator[Finding]:
    """Of every check; skipped where what it relies on is broken, or it found the same: one fault, one finding."""
    broken: dict[str, str] = {}
    root = ""
    # Stable: in their order, those first that the others rely on.
    for check in sorted(checks, key=lambda each: not each.promise.root):
        promise = check.promise
        before = root or next((name for name in promise.after if name in broken), "")
        if before:
            yield Finding(component, promise.name, "skipped", 0.0, f"not tried: mend {before!r} first")
            continue
        found = finding(check, component)
        if found.status == "broken":
            same = next((name for name, reason in broken.items() if reason == found.reason), "")
            broken[promise.name] = found.reason
            root = promise.name if promise.root else ""
            if same:
                found = replace(found, status="skipped", reason=f"as {same!r}, which is broken", mend="")
        yield found


def finding(check: Check, component: str) -> Finding:
    """A check, run and timed."""
    start = time.perf_counter()
    status: Literal["ok", "broken", "skipped"] = "ok"
    reason = mend = ""
    try:
        check()
    except SkipTest as skipped:
        status, reason = "skipped", str(skipped)
    except BrokenPromise as broken:
        status, reason, mend = "broken", broken.found, broken.mend
    return Finding(component, check.promise.name, status, time.perf_counter() - start, reason, mend)


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
    """Of what a prior describes, of a shape that it takes and the generator draws; IptError: there is none."""
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
class _Workshop:
    kind: str
    spec: str
    settings: Mapping[str, Any]
    device: str | None

    def build(self) -> Any:
        return Planner(discover(), self.device).plan(self.kind, self.spec, self.settings, self.kind).build()


@dataclass(frozen=True)
class _Package:
    plugins: list[Plugin]
    registry: Registry

    @property
    def name(self) -> str:
        return self.plugins[0].distribution


def _loads(package: _Package) -> None:
    for plugin in package.plugins:
        require(plugin.status == "loaded", f"The entry point {plugin.name}: {plugin.reason}")


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


def _builds(workshop: _Workshop) -> None:
    try:
        workshop.build()
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
