"""The description of a training, in JSON -> `trainer` -> `Trainer`.

    {"out": "kernels", "source": {"generator": "kernels"}, "network": {"width": 32}, "training": {"images": 400000}}
    {"out": "faces", "source": {"pictures": "faces.npy", "held_out": 500}, "training": {"device": "auto"}}
    {"out": "longer", "source": {"pictures": "faces.npy", "held_out": 500}, "start": "faces"}

out       folder of the training; relative paths start at the current folder
source    "pictures" (a folder, a .npy array or a .npz pack; with "size", "channels", "held_out", "mirror"), or
          "photographs" (a folder of pictures of any size, cut into random crops of "size"; with "channels",
          "held_out"), or "generator" (a name below or "module:attribute"; with "options", "sizes", "channels")
network   fields of `UNetConfig`, without the channels, which are the examples'; with "refine", of the detail network
training  fields of `TrainingOptions`; the device may be "auto"
start     initial weights: the name of a prior that ships with ipt, a folder of weights or a state.pt. Their network and
          sigma_data are the defaults; safetensors must be installed
refine    weights of a prior for half the side, named likewise, to which a network for the detail is added and trained
          (`ipt.priors.refined`). With "start" as well, its detail network is trained further, on this base
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from ipt.core.errors import IptError, Misuse
from ipt.core.operator import Generator
from ipt.priors.refined import NetworkConfig, RefinedConfig, lost_by_averaging
from ipt.priors.unet import UNetConfig
from ipt.training import crops, pictures, start
from ipt.training import state as states
from ipt.training.options import TrainingOptions, checked
from ipt.training.sources import ArraySource, GeneratorSource, Source
from ipt.training.trainer import Trainer

_KEYS = ("out", "source", "network", "training", "start", "refine")
_MEASURED = 500
"""The most held-out pictures on which the loss by averaging to half the side is measured."""
GENERATORS: Mapping[str, str] = MappingProxyType(
    {
        "motion": "ipt.operators.blur.kernels:MotionKernels",
        "gaussian": "ipt.operators.blur.kernels:GaussianKernels",
        "defocus": "ipt.operators.blur.kernels:DefocusKernels",
        "shake": "ipt.operators.blur.tracks:ShakeKernels",
        "line": "ipt.operators.blur.tracks:LineKernels",
        "box": "ipt.operators.blur.kernels:BoxKernels",
        "kernels": "ipt.operators.blur.kernels:MixedKernels",
    }
)
"""Generators by name, since this module does not need the registry of plugins."""


@dataclass(frozen=True)
class _Pictures:
    pictures: str
    size: int = 0
    channels: int = 0
    held_out: int = 0
    mirror: bool = True


@dataclass(frozen=True)
class _Photographs:
    photographs: str
    size: int = pictures.USUAL_SIZE
    channels: int = 0
    held_out: int = 0


@dataclass(frozen=True)
class _Drawn:
    generator: str
    sizes: tuple[int, ...] = (16, 24, 32, 48, 64)
    channels: int = 1


def trainer(
    job: Mapping[str, Any],
    accept_changes: bool = False,
    log: Callable[[str], None] = lambda line: None,
    usual: Mapping[str, Any] = MappingProxyType({}),
) -> Trainer:
    """Make the trainer of a description, which continues a training in its folder.

    Args:
        job: The description.
        accept_changes: As for `Trainer`.
        log: Called with a line before a step that takes long.
        usual: Options of the network, if neither the description nor the initial weights set them.

    Raises:
        IptError: A key is unknown or missing, a value has another type, or is refused by `Trainer`,
            `ipt.training.start`, `ipt.training.pictures` or the generator.
    """
    for key in job:
        if key not in _KEYS:
            raise Misuse(f"the description of the training has no {key!r}; it has {', '.join(_KEYS)}")
    for key in ("out", "source"):
        if not job.get(key):
            raise IptError(f"the description of the training lacks {key!r}: see the head of ipt/training/job.py")
    folder = Path(job["out"]).expanduser()
    state = folder / "state.pt"
    begun, base = (start.find(job[key]) if job.get(key) else None for key in ("start", "refine"))
    place = device(_table(job, "training").get("device", "cpu"))
    source = _source(_table(job, "source"), folder, place, log)
    if begun and base:
        begun, base = start.onto(begun, base, _refining(base, start.detail(begun), source)), None

    known, sigma_data = (begun.network, begun.sigma_data) if begun else _recorded(state)
    if base:
        sigma_data = base.sigma_data
    values = {**({} if sigma_data is None else {"sigma_data": sigma_data}), **_table(job, "training")}
    options = checked(TrainingOptions, "training", {**values, "device": place})
    if begun:
        begun = _for_size(begun, source)
        known = begun.network
    network = _network(known, base, source, _table(job, "network"), usual)
    if state.exists():
        log(f"continuing {state}")
    elif begun:
        log(f"starting from {begun.origin}")
    elif base:
        log(f"refining {base.origin}")
    return Trainer(network, source, options, folder, accept_changes, begun, base)


def _for_size(begun: start.Start, source: Source) -> start.Start:
    """Initial weights for pictures of the source's size: of refined weights those of a coarser size, if that is it."""
    while isinstance(begun.network, RefinedConfig) and source.sides in [((s, s),) for s in begun.network.sides[:-1]]:
        begun = start.coarse(begun)
    return begun


def _network(
    known: NetworkConfig | None,
    base: start.Start | None,
    source: Source,
    values: Mapping[str, Any],
    usual: Mapping[str, Any],
) -> NetworkConfig:
    """The network to train.

    Args:
        known: Of the initial weights or of the state; its options are the defaults.
        base: Weights to refine; `values` are then of the detail network.
        source: Of the examples, whose channels the network has.
        values: Fields that the description sets.
        usual: Fields that are used if there is no known network.
    """
    refined = known if isinstance(known, RefinedConfig) else None
    trained = refined.detail if refined else known
    defaults = _fields(trained) if isinstance(trained, UNetConfig) else usual
    single = _unet({**defaults, **values}, source.channels)
    # Where the channels differ, the trainer raises an error that names the weights.
    if refined and single.channels == refined.channels:
        return replace(refined, detail=single)
    return _refining(base, single, source) if base else single


def _refining(base: start.Start, detail: UNetConfig, source: Source) -> RefinedConfig:
    """A network for pictures of twice the base's side; the loss by averaging is measured on held-out pictures."""
    if len(source.sides) != 1 or source.sides[0][0] != source.sides[0][1]:
        raise IptError("refining takes square pictures of one size: give those, or their size (size=)")
    errors = base.history[-1]["validation"] if base.history else {}
    held_out = source.validation(_MEASURED)[0]
    return RefinedConfig(
        base.network, detail, source.sides[0][0], lost_by_averaging(held_out), tuple(sorted(errors.items()))
    )


def _recorded(state: Path) -> tuple[NetworkConfig | None, float | None]:
    """Network and sigma_data of a training that started from weights, which its description need not repeat."""
    about = states.read(state)[0] if state.exists() else None
    known = about and (about.start or about.base)
    return (about.network, about.options.sigma_data) if about and known else (None, None)


def _fields(network: UNetConfig) -> dict[str, Any]:
    """The fields of a network's configuration without its channels."""
    return {name: value for name, value in network.to_dict().items() if name != "channels"}


def device(name: str) -> str:
    """A torch device by name, "auto" for the fastest one here; IptError if there is no such device."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, TypeError):
        raise IptError(f"there is no device {name!r} here: choose auto or cpu (device=)") from None
    return name


def _table(job: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = job.get(key, {})
    if not isinstance(value, Mapping):
        raise IptError(f"{key} is a table of names and values, not {value!r}: see the head of ipt/training/job.py")
    return value


def _source(values: Mapping[str, Any], folder: Path, place: str, log: Callable[[str], None]) -> Source:
    if sum(kind in values for kind in ("pictures", "photographs", "generator")) != 1:
        raise IptError("the training's source is pictures, photographs or a generator: give one of the three")
    if "photographs" in values:
        cut = checked(_Photographs, "source", values)
        log(f"reading the photographs of {cut.photographs}")
        found = crops.load(cut.photographs, cut.channels or None)
        held_out = cut.held_out or pictures.usual_held_out(len(found))
        return crops.CropSource(found, cut.size, held_out, Path(cut.photographs).name, place)
    if "pictures" in values:
        wanted = checked(_Pictures, "source", values)
        array = pictures.load(wanted.pictures, folder, wanted.size or None, wanted.channels or None, log)
        held_out = wanted.held_out or pictures.usual_held_out(len(array))
        return ArraySource(array, held_out, wanted.mirror, Path(wanted.pictures).name, place)
    options = dict(_table(values, "options"))
    drawn = checked(_Drawn, "source", {name: value for name, value in values.items() if name != "options"})
    named = f"{drawn.generator} ({', '.join(f'{n}={v}' for n, v in options.items())})" if options else drawn.generator
    return GeneratorSource(_generator(drawn.generator, options), drawn.sizes, drawn.channels, named)


def _generator(name: str, options: Mapping[str, Any]) -> Generator:
    module, _, attribute = GENERATORS.get(name, name).partition(":")
    if not attribute:
        raise Misuse(
            f"there is no generator {name!r}; there are {', '.join(GENERATORS)}, and module:attribute for others"
        )
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise Misuse(f"the generator {name!r} cannot be imported ({error}): check its name") from None
    try:
        drawn: Generator = factory(**options)
    except (TypeError, ValueError) as error:
        raise IptError(
            f"the generator {name!r} refuses its options ({error}): `ipt show generator NAME` lists them"
        ) from None
    return drawn


def _unet(values: Mapping[str, Any], channels: int) -> UNetConfig:
    """The configuration of a single network from its fields; IptError for a field that is not possible."""
    if "channels" in values:
        raise IptError(
            "network.channels are those of the training examples: leave it out, or choose them there (channels=)"
        )
    network = checked(UNetConfig, "network", {**values, "channels": channels})
    if min(network.width, network.blocks, network.patch, *network.multipliers) < 1:
        raise IptError(
            "network.width, blocks, patch and multipliers are whole numbers, at least 1: change what is below"
        )
    return network
