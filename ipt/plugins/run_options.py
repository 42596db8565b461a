"""`RunOptions`, the base of the options of `ipt solve` and `ipt simulate`, and how they are recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ipt.core.errors import Misuse

DEFAULT = "default"


class RunOptions:
    """Base of frozen dataclasses whose fields are the options that a result depends on, in the order of run.yaml.

    Attributes:
        operator: registered name, or names joined by "+".
        border: the operator's option `border`; None: the operator's default.
        set: settings of components by dotted name, such as {"guidance.scale": .3}.
        origins: where options come from, by name, pairs as "prior.kernel"; those that are missing have their defaults.
    """

    operator: str
    border: str | None
    set: Mapping[str, Any]
    origins: Mapping[str, str]

    def plain(self) -> dict[str, Any]:
        """The options by name, paths as text, for run.yaml."""
        assert dataclasses.is_dataclass(self)
        names = [field.name for field in dataclasses.fields(self) if field.name != "origins"]
        return {name: _plain(getattr(self, name)) for name in names}

    def record(self) -> dict[str, dict[str, Any]]:
        """Value and origin of each option, {"set.guidance.scale": {"value": .3, "from": "command line"}}."""
        values: dict[str, Any] = {}
        for name, value in self.plain().items():
            pairs = isinstance(value, dict)
            values |= {f"{name}.{key}": item for key, item in value.items()} if pairs else {name: value}
        return {name: {"value": value, "from": self.origins.get(name, DEFAULT)} for name, value in values.items()}

    def settings(self) -> dict[str, Any]:
        """The settings by dotted name, with the border as "operator.border".

        Raises:
            Misuse: the border is given twice, with different values.
        """
        settings = dict(self.set)
        if self.border is not None and settings.setdefault("operator.border", self.border) != self.border:
            where = [self.origins.get(name, DEFAULT) for name in ("border", "set.operator.border")]
            raise Misuse(
                f"the border is given twice: {self.border} ({where[0]}) and operator.border "
                f"{settings['operator.border']} ({where[1]}); drop one"
            )
        return settings


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, PurePath) else value
