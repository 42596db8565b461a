"""Initial weights of a training: of a shipped prior, a folder of weights, or a state.pt.

They include everything but the optimizer's state: the network with its averaged weights, the number of examples seen,
the last validation and the model card. Reading them needs safetensors besides torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ipt.core.errors import IptError, Misuse
from ipt.priors.refined import NetworkConfig, Refined, RefinedConfig
from ipt.priors.unet import UNet, UNetConfig
from ipt.training import state as states
from ipt.training.options import TrainingOptions, differences

if TYPE_CHECKING:
    from ipt.priors.network import NetworkPrior

_CARD = "card.md"


@dataclass(frozen=True)
class Start:
    """Initial weights.

    Attributes:
        origin: where they come from.
        network: configuration of their network.
        sigma_data: of the network's preconditioning.
        parameters: the weights by name, float32.
        history: as in `ipt.training.state.About`: the last validation of the weights, or empty.
    """

    origin: states.Origin
    network: NetworkConfig
    sigma_data: float
    parameters: Mapping[str, Tensor]
    history: Sequence[dict[str, Any]] = ()

    def check(self, network: NetworkConfig, options: TrainingOptions) -> None:
        """Raise IptError, naming the difference, if a training cannot start from these weights."""
        name, images = self.origin.name, self.origin.images
        if network.channels != self.network.channels:
            raise IptError(
                f"{name} has {self.network.channels} channels, the training examples {network.channels}: "
                f"start from another prior, or choose the examples' (channels=)"
            )
        theirs = {**self.network.to_dict(), "sigma_data": self.sigma_data}
        found = differences(theirs, {**network.to_dict(), "sigma_data": options.sigma_data})
        if found:
            others = "; ".join(found).replace(" before,", f" in {name},")
            raise IptError(
                f"the training starts from {name}, another network ({others}).\nLeave that out to take its own."
            )
        if options.images <= images:
            raise IptError(
                f"{name} has seen {images:,} images, and {options.images:,} are wanted in all: give more (images=)"
            )


def find(name: str) -> Start:
    """Read the weights of a shipped prior, by its name, or of a folder or file, by its path.

    Raises:
        IptError: There are no weights, their file does not name the network, or ipt does not train such networks.
    """
    from ipt.priors import shipped
    from ipt.priors.loading import from_weights
    from ipt.priors.weights import TORCH_SUFFIXES, read

    if not isinstance(name, str):
        raise IptError(f"start is the name of a prior or a path, not {name!r}: see the head of ipt/training/job.py")
    place = shipped.folder(name) if name in shipped.NAMES else Path(name).expanduser().resolve()
    if not place.exists():
        raise Misuse(
            f"there is no prior {name!r} to start from: choose {', '.join(shipped.NAMES)}, a folder of weights or a "
            f"state.pt"
        )
    weights = read(place)
    if weights.config is None:
        raise IptError(
            f"{weights.file} does not name its network: start from a folder with config.json, or from a state.pt"
        )
    prior = from_weights(weights)
    network, sigma_data = prior.denoiser.network, getattr(prior.denoiser, "sigma_data", 0.5)
    if not isinstance(network, UNet | Refined):
        raise IptError(f"{prior.name} is a network that is not trained here (ADM): start from one of `ipt train`")
    if (prior.scale, prior.offset) != (0.5, 0.5):
        raise IptError(
            f"{prior.name} has scale {prior.scale:g} and offset {prior.offset:g}, training has 0.5 and 0.5: "
            f"start from weights of `ipt train`"
        )
    images = _images(weights.config, prior)
    data, training = _card(weights.file, weights.file.suffix in TORCH_SUFFIXES)
    return Start(
        states.Origin(prior.name, weights.sha256, images, data, training, states.Origin.of(weights.config.get("base"))),
        network.config,
        float(sigma_data),
        network.state_dict(),
        _history(weights.config, images),
    )


def coarse(start: Start) -> Start:
    """The base of refined weights, as initial weights for half their side."""
    base = start.origin.base
    if not isinstance(start.network, RefinedConfig) or base is None:
        raise TypeError(f"{start.origin.name} refines nothing")
    parameters = {
        name.removeprefix("base."): value for name, value in start.parameters.items() if name.startswith("base.")
    }
    history = [{"images": base.images, "loss": None, "validation": dict(start.network.errors)}]
    return Start(base, start.network.base, start.sigma_data, parameters, history)


def detail(start: Start) -> UNetConfig:
    """The detail network of refined weights; IptError if the weights refine nothing."""
    if not isinstance(start.network, RefinedConfig):
        raise IptError(
            f"{start.origin.name} refines nothing, so there is no detail to go on with: start from refined weights, or "
            f"leave out the start or the refining"
        )
    return start.network.detail


def onto(start: Start, base: Start, network: RefinedConfig) -> Start:
    """Initial weights from the detail network of refined weights and another base.

    Args:
        start: Refined weights.
        base: The other base.
        network: Of both together.
    """
    detail_weights = {name: value for name, value in start.parameters.items() if name.startswith("detail.")}
    base_weights = {f"base.{name}": value for name, value in base.parameters.items()}
    parameters = {**base_weights, **detail_weights}
    # Without a history, since its validation was with its own base.
    return Start(replace(start.origin, base=base.origin), network, base.sigma_data, parameters)


def _images(config: Mapping[str, Any], prior: NetworkPrior) -> int:
    images = config.get("images", 0)
    if not isinstance(images, int) or images < 0:
        raise IptError(f"the config of {prior.name} has images {images!r}, not a whole number: correct its config.json")
    return images


def _history(config: Mapping[str, Any], images: int) -> list[dict[str, Any]]:
    """The validation of the config as the first entry of a history, without a loss."""
    found = {float(sigma): float(error) for sigma, error in config.get("validation", {}).items()}
    return [{"images": images, "loss": None, "validation": found}] if found else []


def _card(file: Path, is_state: bool) -> tuple[str, str]:
    """The sections on data and training of a model card.

    It is the card beside the weights. For a state, the section on training is made from the state, and the section on
    data too if there is no card.
    """
    from ipt.training.export import card

    beside = file.with_name(_CARD)
    text = beside.read_text(encoding="utf-8", errors="replace") if beside.is_file() else ""
    if not is_state:
        return _section(text, "Data"), _section(text, "Training")
    own = card(file.parent.name, states.read(file)[0], 0)
    return _section(text, "Data") or _section(own, "Data"), _section(own, "Training")


def _section(text: str, heading: str) -> str:
    """The text under "## heading" in Markdown, up to the next heading of this level, or ""."""
    found = re.search(rf"^## {re.escape(heading)}\s*$\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""
