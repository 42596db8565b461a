"""Inverse problems whose forward model is only partly known, solved with diffusion priors.

    ipt.restore("photo.jpg")
    ipt.build(operator="blur", prior="faces", guidance="proximal").solve(measurement)

Everything public is imported on first use, so `import ipt` is quick and does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipt.core.abilities import (
        Canonicalizable,
        Coarsenable,
        Coarser,
        CoarseToFine,
        ExactSteps,
        Linear,
        MeasurementSpec,
        MultiFrame,
        PhysicalUnits,
    )
    from ipt.core.guidance import Correction, GuidanceRule
    from ipt.core.operator import Generator, ParameterSpec, ParametricOperator
    from ipt.core.prior import Posterior, Prior
    from ipt.core.solver import Solver
    from ipt.images.noise import Poisson
    from ipt.linalg.normalization import Normalization
    from ipt.plugins.building import build
    from ipt.plugins.component import Component
    from ipt.plugins.hookspecs import hookimpl
    from ipt.sampling.multiscale import Multiscale
    from ipt.solve.restore import Restored, restore

__version__ = "0.2.0.dev0"

_HOMES = {
    "ipt.core.abilities": (
        "Canonicalizable",
        "Coarsenable",
        "Coarser",
        "CoarseToFine",
        "ExactSteps",
        "Linear",
        "MeasurementSpec",
        "MultiFrame",
        "PhysicalUnits",
    ),
    "ipt.core.guidance": ("Correction", "GuidanceRule"),
    "ipt.sampling.multiscale": ("Multiscale",),
    "ipt.linalg.normalization": ("Normalization",),
    "ipt.core.operator": ("Generator", "ParameterSpec", "ParametricOperator"),
    "ipt.core.prior": ("Posterior", "Prior"),
    "ipt.core.solver": ("Solver",),
    "ipt.images.noise": ("Poisson",),
    "ipt.plugins.building": ("build",),
    "ipt.plugins.component": ("Component",),
    "ipt.plugins.hookspecs": ("hookimpl",),
    "ipt.solve.restore": ("Restored", "restore"),
}

__all__ = [
    "Canonicalizable",
    "CoarseToFine",
    "Coarsenable",
    "Coarser",
    "Component",
    "Correction",
    "ExactSteps",
    "Generator",
    "GuidanceRule",
    "Linear",
    "MeasurementSpec",
    "MultiFrame",
    "Multiscale",
    "Normalization",
    "ParameterSpec",
    "ParametricOperator",
    "PhysicalUnits",
    "Poisson",
    "Posterior",
    "Prior",
    "Restored",
    "Solver",
    "build",
    "hookimpl",
    "restore",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'ipt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
