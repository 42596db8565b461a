"""The state of a training on disk: state.pt, a torch file of tensors and JSON, read without running code."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ipt.core.errors import IptError, first_line
from ipt.priors.refined import NetworkConfig, config_of
from ipt.training.options import TrainingOptions

TENSORS = ("model", "average", "optimizer")
"""State dicts in the file: the network being trained, its running average, and the optimizer."""


@dataclass(frozen=True)
class Origin:
    """The origin of weights that a training started from, or refines.

    Attributes:
        name: of the prior.
        sha256: of its file.
        images: number of examples that they were trained on.
        data: the section on data of their model card, in Markdown, or "".
        training: the section on training of their model card, in Markdown, or "".
        base: the weights that they refine; None: there are none.
    """

    name: str
    sha256: str
    images: int
    data: str = ""
    training: str = ""
    base: Origin | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any] | None) -> Origin | None:
        """The origin from a mapping of its fields, or None from None; TypeError for other fields."""
        return None if values is None else cls(**{**values, "base": cls.of(values.get("base"))})

    def __str__(self) -> str:
        return f"{self.name} (sha256 {self.sha256[:12]}, {self.images:,} images seen)"


@dataclass(frozen=True)
class About:
    """Everything in a state except for its tensors.

    Attributes:
        network: configuration of the trained network.
        options: of the training.
        history: a mapping per validation, {"images", "loss", "validation": {sigma: mean squared error}}.
        images: number of examples seen.
        loss: the smoothed loss, NaN before the first step.
        source: identity of the training examples; None: not recorded.
        examples: the training examples in words.
        start: origin of the initial weights; None: they were random.
        base: origin of the weights that are refined; None: there are none.
        kernels: whether all examples are blur kernels (`ipt.priors.kernels`).
    """

    network: NetworkConfig
    options: TrainingOptions
    history: Sequence[dict[str, Any]]
    images: int
    loss: float
    source: Mapping[str, Any] | None = None
    examples: str = ""
    start: Origin | None = None
    base: Origin | None = None
    kernels: bool = False


def write(path: Path, about: About, tensors: Mapping[str, Any]) -> None:
    """Write a state, whole or not at all; IptError if it cannot be written."""
    state = {
        "network": json.dumps(about.network.to_dict()),
        "options": json.dumps(asdict(about.options)),
        "history": json.dumps(list(about.history)),
        "images": about.images,
        "loss": about.loss,
        "source": json.dumps(about.source),
        "examples": about.examples,
        "start": json.dumps(about.start and asdict(about.start)),
        "base": json.dumps(about.base and asdict(about.base)),
        "kernels": about.kernels,
        **tensors,
    }
    # A fixed name, so that the next save overwrites the partial file of a killed process.
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        raise IptError(
            f"{path} cannot be written ({first_line(error)}).\nMake room or choose another folder, then run it again."
        ) from None


def read(path: Path, device: str = "cpu") -> tuple[About, dict[str, Any]]:
    """Read a state, its tensors on `device`.

    Returns:
        The state without its tensors, and state dicts by the names in `TENSORS`.

    Raises:
        IptError: The file is damaged, or is no state.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        history = [
            {**entry, "validation": {float(sigma): error for sigma, error in entry["validation"].items()}}
            for entry in json.loads(state["history"])
        ]
        start, base = (json.loads(state.get(name, "null")) for name in ("start", "base"))
        about = About(
            network=config_of(json.loads(state["network"])),
            options=TrainingOptions(**json.loads(state["options"])),
            history=history,
            images=state["images"],
            loss=state["loss"],
            source=json.loads(state.get("source", "null")),
            examples=state.get("examples", ""),
            start=Origin.of(start),
            base=Origin.of(base),
            kernels=state.get("kernels", False),
        )
        return about, {name: state[name] for name in TENSORS}
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, KeyError, pickle.UnpicklingError) as error:
        raise IptError(
            f"{path} is not a readable state of a training ({first_line(error)}).\n"
            f"Move it away to start a new training."
        ) from None
