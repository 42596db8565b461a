"""The unknowns and abilities of an operator, for `ipt show operator NAME`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ipt.core.errors import IptError, Lacking
from ipt.core.operator import ParameterSpec
from ipt.plugins.building import build_component
from ipt.plugins.faults import located


def described(name: str) -> dict[str, Any]:
    """Describe an operator with its default options, for an example size.

    Returns:
        "measurement" and "image": shapes (C, H, W). "unknowns": by name, with shape, meaning, unit, range, prior,
        generator, and `shared`, `discrete` and `noise_ratio` of its specification. "abilities": by name, with their
        meaning. If the operator cannot be built without options, instead "refusal": the reason, and "needs": whether an
        option or a package is missing.
    """
    from ipt.core import abilities
    from ipt.operators.compose import nominal

    try:
        operator = build_component("operator", name)
        example = nominal(operator)
    except IptError as error:
        return {"refusal": str(error), "needs": isinstance(error, Lacking)}
    except Exception as error:
        # A fault in a plugin's code must not hide the rest of `ipt show`.
        return {"refusal": located(error), "needs": False}
    kinds = (
        abilities.Linear,
        abilities.ExactSteps,
        abilities.MultiFrame,
        abilities.Framed,
        abilities.Resizable,
        abilities.Coarsenable,
        abilities.Canonicalizable,
        abilities.Assessable,
        abilities.PhysicalUnits,
    )
    return {
        "measurement": list(example.measurement),
        "image": list(example.image),
        "unknowns": {name: _unknown(spec) for name, spec in example.parameters.items()},
        "abilities": {
            kind.__name__: _first_paragraph(kind) for kind in kinds if abilities.ability(operator, kind) is not None
        },
    }


def _unknown(spec: Any) -> dict[str, Any]:
    from ipt.plugins.usual import usual_generator, usual_prior

    prior = usual_prior(spec)
    return {
        "shape": list(spec.shape),
        "meaning": spec.meaning,
        "unit": spec.unit,
        "range": None if spec.range is None else list(spec.range),
        "prior": prior if isinstance(prior, str) else type(prior).__name__,
        "generator": usual_generator(spec),
        "shared": spec.shared,
        "discrete": spec.discrete,
        "noise_ratio": spec.noise_ratio,
    }


def _first_paragraph(kind: type) -> str:
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def table_of(unknowns: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A table: its columns, then a row for each unknown; the column "besides" only if an unknown has such an entry."""
    besides = {name: _besides(unknown) for name, unknown in unknowns.items()}
    columns = ("name", "shape", "unit", "range", "prior", "generator", "besides", "meaning")
    rows: list[tuple[str, ...]] = [
        (
            name,
            str(tuple(unknown["shape"])),
            unknown["unit"] or "-",
            "any" if unknown["range"] is None else "{:g} to {:g}".format(*unknown["range"]),
            unknown["prior"] or "(none)",
            unknown["generator"] or "(none)",
            besides[name] or "-",
            unknown["meaning"],
        )
        for name, unknown in unknowns.items()
    ]
    found = [columns, *rows]
    return found if any(besides.values()) else [row[:6] + row[7:] for row in found]


def _besides(unknown: Mapping[str, Any]) -> str:
    """What differs from the defaults of a `ParameterSpec`: "shared, noise_ratio=1"."""
    usual = {field.name: field.default for field in fields(ParameterSpec)}
    flags = [name for name in ("shared", "discrete") if unknown[name] != usual[name]]
    ratio = unknown["noise_ratio"]
    return ", ".join([*flags, *([f"noise_ratio={ratio:g}"] if ratio != usual["noise_ratio"] else [])])
