"""Models in diffusers' format, on disk or on huggingface.co: where their files are, and what their configs say."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipt.core.errors import IptError, Lacking
from ipt.priors.download import look_up
from ipt.priors.published import why
from ipt.priors.weights import CONFIG, TENSORS, read_table

INDEX = "model_index.json"
SCHEDULER = "scheduler_config.json"
PICKLED = "diffusion_pytorch_model.bin"


@dataclass(frozen=True)
class Model:
    """The contents of a model.

    Attributes:
        config: the network's configuration.
        scheduler: the scheduler's configuration.
        weights: the file of weights.
        parts: names of the pipeline's parts; none of a model without a pipeline.
    """

    config: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    weights: Path
    parts: tuple[str, ...]


def find(model: str | os.PathLike[str]) -> Model:
    """The model in a folder, or in a repository on huggingface.co, which is fetched to the usual cache if need be.

    Args:
        model: a pipeline's folder with `unet` and `scheduler` in it, a flat folder, or OWNER/NAME.

    Raises:
        IptError: the model is incomplete, or cannot be fetched.
    """
    folder = _folder(model)
    config, scheduler, weights = _files(folder)
    index = read_table(folder / INDEX, "the model") if (folder / INDEX).is_file() else {}
    parts = (name for name, value in index.items() if isinstance(value, list) and any(value))
    return Model(read_table(config, "the model"), read_table(scheduler, "the model"), weights, tuple(parts))


def _folder(model: str | os.PathLike[str]) -> Path:
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", str(model)):
        raise IptError(f"there is no folder {model}: give one that diffusers saved, or OWNER/NAME on huggingface.co")
    # A model that is not in the cache, or incomplete there, is fetched, whatever the reason.
    with contextlib.suppress(Exception):
        cached = _snapshot(str(model), local=True)
        _files(cached)
        return cached
    return _fetched(str(model))


def _files(folder: Path) -> tuple[Path, Path, Path]:
    """Paths of config.json, scheduler_config.json and the weights; IptError where one is missing."""
    unet = folder / "unet" if (folder / "unet" / CONFIG).is_file() else folder
    schedule = folder / "scheduler" if (folder / "scheduler" / SCHEDULER).is_file() else folder
    old = (unet / PICKLED).is_file() and not (unet / TENSORS).is_file()
    files = unet / CONFIG, schedule / SCHEDULER, unet / (PICKLED if old else TENSORS)
    for file in files:
        if not file.is_file():
            raise IptError(
                f"{folder} is no whole model of diffusers: it has no {file.name}\n"
                f"give a pipeline's folder (pipeline.save_pretrained), or save the scheduler beside the network"
            )
    return files


def _fetched(repository: str) -> Path:
    try:
        look_up()
        folder = _snapshot(repository)
        # The older format is fetched only where there is no other.
        return folder if any(folder.rglob(TENSORS)) else _snapshot(repository, weights=PICKLED)
    # Whatever is raised (no network, no such repository, a full disk), the user can do the same about it.
    except Exception as error:
        raise Lacking(
            f"there is no folder {repository}, and huggingface.co/{repository} could not be fetched ({why(error)})\n"
            f"connect and run again, or give a folder: prior=hf:FOLDER"
        ) from error


def _snapshot(repository: str, weights: str = TENSORS, local: bool = False) -> Path:
    import huggingface_hub

    names = [INDEX, CONFIG, SCHEDULER, f"unet/{CONFIG}", f"scheduler/{SCHEDULER}", weights, f"unet/{weights}"]
    return Path(huggingface_hub.snapshot_download(repository, allow_patterns=names, local_files_only=local))
