"""Inverse problems whose forward model is only partly known, solved with diffusion priors.

    ipt.build(operator="blur", prior="faces", guidance="proximal").solve(measurement)

Everything public is imported on first use, so `import ipt` is quick and does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipt.core.interfaces import Generator, GuidanceRule, ParameterSpec, ParametricOperator, Prior
    from ipt.core.solver import Solver
    from ipt.plugins.building import build
    from ipt.plugins.component import Component
    from ipt.plugins.hookspecs import hookimpl

__version__ = "0.2.0.dev0"

__all__ = [
    "Component",
    "Generator",
    "GuidanceRule",
    "ParameterSpec",
    "ParametricOperator",
    "Prior",
    "Solver",
    "build",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    homes = {
        "Component": "ipt.plugins.component",
        "Solver": "ipt.core.solver",
        "build": "ipt.plugins.building",
        "hookimpl": "ipt.plugins.hookspecs",
    }
    if name not in __all__:
        raise AttributeError(f"module 'ipt' has no attribute {name!r}")
    return getattr(import_module(homes.get(name, "ipt.core.interfaces")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
