"""Priors from weights on disk: the network that a config describes, with the parameters of a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ipt.core.errors import IptError
from ipt.priors.adm import ADMUNet
from ipt.priors.adm_config import ADMConfig
from ipt.priors.network import Denoiser, NetworkPrior
from ipt.priors.refined import RefinedConfig, denoiser_of
from ipt.priors.unet import UNetConfig
from ipt.priors.vp import VPDenoiser
from ipt.priors.weights import Weights, read
from ipt.sampling.schedules import VP

_PROCESS = ("sqrt_alphas_cumprod", "sqrt_1m_alphas_cumprod")
"""Entries in which deepinv stores the noise schedule beside the parameters of its ADM networks."""
SCHEDULES = ("linear", "cosine")
_LENGTH = 1000
"""Steps of a process whose length is not given."""
_TRAINED: Mapping[str, type[UNetConfig] | type[RefinedConfig]] = {"unet": UNetConfig, "refined": RefinedConfig}
"""Configurations of the architectures that `ipt train` trains, by their names in config.json."""


def load(
    path: str | os.PathLike[str],
    device: str = "cpu",
    precision: str = "fp32",
    scale: float | None = None,
    offset: float | None = None,
    sizes: Sequence[int] | None = None,
    head_channels: int = 64,
    compile: bool = False,
    centred: bool = True,
    kind: str | None = None,
    schedule: str | None = None,
    length: int | None = None,
) -> NetworkPrior:
    """A prior from a folder or a file of weights.

    Without a config.json beside it, a file must be a guided-diffusion checkpoint, whose configuration is inferred from
    its parameters.

    Args:
        path: the folder or file.
        device: where it runs.
        precision: a precision of `ipt.priors.precision`.
        scale: physical = offset + scale * normalized; None: as the config says, without one .5, or 1 for a field.
        offset: see scale; without a config .5, or 0 for a field.
        sizes: sides of the squares that the network takes; None: as the config says.
        head_channels: features of an attention head, where there is no config.
        compile: whether to compile the network with torch.compile.
        centred: whether to centre kernels (`ipt.priors.kernels`), where the config says that they are centred.
        kind: image, kernel or field; None: as the config says, without one by the number of channels: 1 for a kernel, 2
            for a field, 3 for an image.
        schedule: noise schedule that an ADM network was trained with, "linear" or "cosine"
            (`ipt.sampling.schedules.VP`); None: as the config or the file says. Where neither says, it has to be given:
            most published weights (those of DPS, BlindDPS and guided diffusion) have "linear".
        length: steps of that process; None: as the config or the file says, else 1000.

    Raises:
        IptError: there are no weights, or not of a network that this version knows.
    """
    chosen = {"scale": scale, "offset": offset, "sizes": None if sizes is None else list(sizes), "kind": kind}
    chosen |= {"schedule": schedule, "length": length}
    return from_weights(read(path), device, precision, head_channels, compile, centred, **chosen)


def from_weights(
    weights: Weights,
    device: str = "cpu",
    precision: str = "fp32",
    head_channels: int = 64,
    compile: bool = False,
    centred: bool = True,
    **chosen: Any,
) -> NetworkPrior:
    """`load`, for weights that were already read.

    Args:
        weights: the weights.
        device: as in `load`.
        precision: as in `load`.
        head_channels: as in `load`.
        compile: as in `load`.
        centred: as in `load`.
        **chosen: entries of the config; those that are not None override it.

    Raises:
        IptError: as in `load`.
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        config = weights.config
        if config is None:
            config = _inferred(weights.state, head_channels, given.get("kind"))
        config = {**({} if "schedule" in given else _process(weights.state)), **config, **given}
        denoiser = _denoiser(config)
    except IptError as error:
        raise IptError(f"{weights.file}: {error}") from None
    _fill(denoiser.network, weights)
    folder = weights.file.parent.name if weights.config is not None else weights.file.name
    name = config.get("name") or folder
    return NetworkPrior(denoiser, config, device, precision, name, weights.sha256, compile, centred)


def _inferred(state: Mapping[str, Tensor], head_channels: int, kind: str | None) -> dict[str, Any]:
    """The config of a bare guided-diffusion checkpoint."""
    try:
        network = ADMConfig.from_state(state, head_channels)
    except IptError as error:
        raise IptError(f"{error}. Without a config.json beside them, only ADM weights can be recognised") from None
    kind = kind or {1: "kernel", 2: "field"}.get(network.channels, "image")
    return {
        "format": 1,
        "architecture": "adm",
        "network": network.to_dict(),
        "kind": kind,
        "scale": 1.0 if kind == "field" else 0.5,
        "offset": 0.0 if kind == "field" else 0.5,
        "sizes": [network.usual_size] if network.usual_size else None,
    }


def _denoiser(config: Mapping[str, Any]) -> Denoiser:
    """The module that a config describes, its parameters random or empty; IptError where it describes none."""
    if config.get("format", 1) != 1:
        raise IptError(f"config.json is of format {config['format']}, this version reads 1: update ipt")
    try:
        if config["architecture"] in _TRAINED:
            network, sigma_data = _TRAINED[config["architecture"]], float(config["sigma_data"])
            # Random initial weights must not advance the caller's random numbers.
            with torch.random.fork_rng(devices=[]):
                return denoiser_of(network.from_dict(config["network"]), sigma_data)
        if config["architecture"] == "adm":
            with torch.device("meta"):
                adm = ADMUNet(ADMConfig.from_dict(config["network"]))
            return VPDenoiser(adm, _schedule(config), clip=bool(config.get("clip", True)))
    except KeyError as error:
        raise IptError(f"config.json has no {error}: restore the weights' own") from None
    except IptError:
        raise
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise IptError(f"config.json describes no network ({error}): restore the weights' own") from None
    known = ", ".join(_TRAINED)
    raise IptError(f"config.json asks for architecture {config['architecture']!r}; this version has {known} and adm")


def _process(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The noise schedule that is stored beside the parameters, as entries of a config; empty where there is none."""
    stored = state.get(_PROCESS[0])
    if stored is None:
        return {}
    for name in SCHEDULES:
        bar = VP(betas=name, length=len(stored)).alphas_bar() if len(stored) > 1 else stored
        if torch.allclose(stored.double().square(), bar, atol=1e-5):
            return {"schedule": name, "length": len(stored)}
    raise IptError(f"its noise schedule of {len(stored)} steps is neither linear nor cosine: give other weights")


def _schedule(config: Mapping[str, Any]) -> VP:
    """The noise schedule of an ADM network's config; IptError where it has none."""
    name, length = config.get("schedule"), config.get("length", _LENGTH)
    if name is None:
        raise IptError(
            "nothing says with which noise schedule this ADM network was trained: set prior.schedule=linear, as of "
            "most published ones, or cosine, and prior.length where it had not 1000 steps"
        )
    if name not in SCHEDULES or not isinstance(length, int) or length < 2:
        raise IptError(f"schedule is linear or cosine, and length a number of steps, not {name!r} and {length!r}")
    return VP(betas=name, length=length)


def _fill(network: nn.Module, weights: Weights) -> None:
    """Put the file's parameters into the network; IptError where they do not fit."""
    wanted = network.state_dict()
    state = {name: value for name, value in weights.state.items() if name not in _PROCESS}
    troubles = {
        "missing": [name for name in wanted if name not in state],
        "unexpected": [name for name in state if name not in wanted],
        "of another shape": [n for n, value in wanted.items() if n in state and state[n].shape != value.shape],
    }
    words = [f"{len(names)} {kind} ({', '.join(names[:3])})" for kind, names in troubles.items() if names]
    if words:
        raise IptError(
            f"{weights.file} does not fit the network of its config: parameters {'; '.join(words)}. "
            f"Give weights and config.json that belong together"
        )
    network.load_state_dict(state, assign=True)
