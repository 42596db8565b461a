"""Weights on disk: reading them safely, and writing them completely or not at all.

This package writes a folder in diffusers' layout, `config.json` beside `diffusion_pytorch_model.safetensors`. Torch
files are only read with weights_only=True, so that a file with code is refused and never run.

Entries of config.json:

    format            1
    architecture      "unet", "refined" or "adm"
    network           configuration of the network
    sigma_data        of "unet" and "refined": standard deviation of the clean data
    schedule, length, clip
                      of "adm": see `ipt.priors.loading.load`
    kind              "image", "kernel" or "field" (`ipt.priors.network`)
    scale, offset     physical = offset + scale * normalized
    sizes             sides that it was trained on; null: all multiples of the network's
    centred           true if it was trained on non-negative, centred kernels: its estimates are made such too
    validation        mean squared error by noise level
    images            number of examples seen in training
    start             name, sha256 and images of the weights with which the training began
    base              the same of the prior that was refined
    shared            name of a folder beside this one with the base's weights, so that this one has the detail alone

Further entries are kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ipt.core.errors import IptError, first_line
from ipt.priors.download import replace_file, sha256

CONFIG = "config.json"
TENSORS = "diffusion_pytorch_model.safetensors"
TORCH_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin")
_GIVE = "give a folder that `ipt train` wrote, or a file of weights"


@dataclass(frozen=True)
class Weights:
    """Weights as they were read.

    Attributes:
        state: parameters by name, float32.
        config: content of the config.json beside them; None where there is none.
        file: the file of parameters.
        sha256: sha256 of the file in hexadecimal; with shared weights, that of both hashes.
    """

    state: Mapping[str, Tensor]
    config: Mapping[str, Any] | None
    file: Path
    sha256: str


def read(path: str | os.PathLike[str]) -> Weights:
    """Weights from a folder, a .safetensors file (its config.json beside it, if any) or a torch file.

    A trainer's state.pt gives its averaged weights.

    Raises:
        IptError: there are no weights that can be read.
    """
    source = Path(path).expanduser()
    if source.is_dir():
        for name in (CONFIG, TENSORS):
            if not (source / name).is_file():
                raise IptError(f"{source} is no folder of weights, since it has no {name}; {_GIVE}")
        source = source / TENSORS
    if not source.is_file():
        raise IptError(f"there are no weights at {source}; {_GIVE}")
    if source.suffix == ".safetensors":
        state, config = _read_safetensors(source), _read_config(source.with_name(CONFIG))
    elif source.suffix in TORCH_SUFFIXES:
        state, config = _unwrapped(_read_torch(source), source)
    else:
        raise IptError(f"{source} is no file of weights, which end in .safetensors {' '.join(TORCH_SUFFIXES)}; {_GIVE}")
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if odd or not state:
        first = ", ".join(str(name) for name in list(state)[:3])
        raise IptError(f"{source} holds no network's parameters (it begins {first or 'and ends'}): give a state_dict")
    digest = sha256(source)
    if config and config.get("shared"):
        known = read(_beside(source.parent, config["shared"]))
        state |= {f"base.{name}": value for name, value in known.state.items()}
        digest = hashlib.sha256(f"{digest} {known.sha256}".encode()).hexdigest()
    floats = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    bad = [name for name, value in floats.items() if not torch.isfinite(value).all()]
    if bad:
        raise IptError(f"{source} has NaN or infinite values in {bad[0]}: the training diverged or the file is damaged")
    return Weights(floats, config, source, digest)


def save(folder: str | os.PathLike[str], denoiser: nn.Module, config: Mapping[str, Any], half: bool = True) -> None:
    """Write a denoiser's network (`denoiser.network`) and its config to a folder.

    Each file is the old one or the new one, never a part of it.

    Args:
        folder: the folder.
        denoiser: the denoiser.
        config: content of config.json.
        half: whether to write float16 instead of float32.

    Raises:
        IptError: the folder cannot be written, or the weights are not finite numbers in float16.
    """
    network = denoiser.network
    if not isinstance(network, nn.Module):
        raise TypeError(f"{type(denoiser).__name__}.network is no network")
    _write(folder, network.state_dict(), config, half)


def export_state(state_path: str | os.PathLike[str], folder: str | os.PathLike[str], **details: Any) -> None:
    """Turn a trainer's state.pt into a folder of weights: its averaged network in float16.

    Args:
        state_path: the trainer's state.pt.
        folder: the folder.
        **details: entries of config.json that replace those of the state (name="faces", sizes=[64], ...).

    Raises:
        IptError: the file is no state of a training, or the folder cannot be written.
    """
    weights = read(state_path)
    if weights.config is None:
        raise IptError(f"{state_path} is no state of a training (ipt train writes state.pt): give that file")
    _write(folder, weights.state, {**weights.config, **details}, half=True)


def _beside(folder: Path, name: object) -> Path:
    """The folder of this name next to `folder`; IptError where there is none, or the name is a path."""
    if not isinstance(name, str) or Path(name).name != name or not (folder.parent / name).is_dir():
        raise IptError(f"{folder / CONFIG} shares the weights of {name!r}, which are not beside it: put them there")
    return folder.parent / name


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise IptError(f"{file} is damaged or no safetensors file ({error}): copy or fetch it again") from None


def _read_config(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    config = read_table(file, "the weights")
    if "kind" not in config:
        # The format of version 0.1.
        network = config.get("network")
        field = isinstance(network, dict) and network.get("channels") == 2
        config["kind"] = "kernel" if config.get("canvas") else "field" if field else "image"
        config["centred"] = config.get("kernels", False)
    return config


def read_table(file: Path, what: str) -> dict[str, Any]:
    """A JSON object of a file; IptError, which names `what` it belongs to, where it is none."""
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise IptError(f"{file} is not readable JSON ({error}): restore it from where {what} came from") from None
    if not isinstance(table, dict):
        raise IptError(f"{file} is not a table of names and values: restore it from where {what} came from")
    return table


def _read_torch(file: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # The warning of an unexpected pickle protocol: such a file is read, or fails below.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # An undamaged archive whose pickle needs more than weights do.
        if "GLOBAL" in str(error) or zipfile.is_zipfile(file):
            raise IptError(
                f"{file} holds more than weights, and loading it could run code, so it was refused: "
                f"re-save it as torch.save(network.state_dict(), ...) where you trust it, or give another file"
            ) from None
        raise IptError(f"{file} is damaged or no torch file: copy or fetch it again") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, UnicodeDecodeError) as error:
        raise IptError(f"{file} is damaged or no torch file ({first_line(error)}): copy or fetch it again") from None


def _unwrapped(loaded: Any, file: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Parameters and config of a loaded torch file: a state dict, one under "state_dict", or a trainer's state."""
    if not isinstance(loaded, dict):
        raise IptError(f"{file} holds a {type(loaded).__name__}, not parameters by name: give a network's state_dict")
    if {"network", "options", "average"} <= loaded.keys():
        try:
            return _from_training(loaded)
        except (KeyError, TypeError, ValueError) as error:
            reason = first_line(error)
            raise IptError(f"{file} is a training's state of another version ({reason}): export it there") from None
    inner = loaded.get("state_dict", loaded)
    return (inner if isinstance(inner, dict) else {}), None


def _from_training(loaded: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The averaged parameters of a trainer's state, and the config that it implies."""
    network, options = json.loads(loaded["network"]), json.loads(loaded["options"])
    history = json.loads(loaded["history"])
    start, base = (json.loads(loaded.get(name, "null")) for name in ("start", "base"))
    refined = "detail" in network
    config = {
        "format": 1,
        "architecture": "refined" if refined else "unet",
        "network": network,
        "sigma_data": options["sigma_data"],
        "scale": 0.5,
        "offset": 0.5,
        "sizes": None,
        "kind": "image" if refined else {1: "kernel", 2: "field"}.get(network["channels"], "image"),
        "images": loaded["images"],
        "validation": history[-1]["validation"] if history else {},
    }
    if loaded.get("kernels"):
        config["centred"] = True
    config |= {name: _identity(origin) for name, origin in (("start", start), ("base", base)) if origin}
    return {name.removeprefix("network."): value for name, value in loaded["average"].items()}, config


def _identity(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Name, sha256 and images of weights, and the same of the weights that these refine."""
    plain = {name: origin[name] for name in ("name", "sha256", "images")}
    return {**plain, "base": _identity(origin["base"])} if origin.get("base") else plain


def _write(folder: str | os.PathLike[str], state: Mapping[str, Tensor], config: Mapping[str, Any], half: bool) -> None:
    kept = torch.float16 if half else torch.float32
    tensors = {
        name: (value.to(kept) if value.is_floating_point() else value).detach().cpu().contiguous().clone()
        for name, value in state.items()
    }
    bad = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if bad:
        raise IptError(f"{bad[0]} is not finite in {kept}: the training diverged, or save with half=False")
    text = json.dumps({"format": 1, **config}, indent=2) + "\n"
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / TENSORS, lambda file: _save_file(tensors, file))
        replace_file(folder / CONFIG, lambda file: file.write_text(text, encoding="utf-8"))
    except (OSError, SafetensorError) as error:
        raise IptError(f"cannot write weights to {folder} ({error}): choose another folder or make room") from None


def _save_file(tensors: dict[str, Tensor], file: Path) -> None:
    # save_file makes files that only their owner can read; weights follow the user's umask, as all results do.
    file.touch()
    mode = file.stat().st_mode & 0o777
    save_file(tensors, file, {"format": "pt"})
    file.chmod(mode)
