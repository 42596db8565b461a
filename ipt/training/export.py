"""Export of a training: state.pt -> weights, config and model card, a folder that serves as a prior."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ipt.core.errors import IptError
from ipt.priors.refined import NetworkConfig, RefinedConfig
from ipt.training import state as states
from ipt.training.progress import validation_rows
from ipt.training.sources import Source

CARD = "card.md"
_LEARNT = "What it started from learnt from:"
_TEXT = """\
# {name}

A diffusion prior: a denoiser for use with `ipt solve --prior`, trained with `ipt train`.

## Data

{data}{earlier_data}

## Network

{network}; {parameters:,} parameters in float16; EDM preconditioning (arXiv 2206.00364), \
sigma_data {options.sigma_data:g}.

## Training

{state.images:,} examples seen of {options.images:,} planned, {options.batch} a step; Adam, rate {options.rate:g}; \
ln sigma of mean {options.sigma_mean:g} and standard deviation {options.sigma_std:g}; averaged weights with a \
half-life of {options.ema:g} of the examples seen; {options.precision}; seed {options.seed}.{earlier_training}

## Validation

"""
_VALIDATION = """\
Held-out examples, after {images:,} examples seen{whose}; noise level and mean squared error \
in normalised units (-1..1).

| sigma | mean squared error | PSNR |
| ---: | ---: | ---: |
"""


def export(folder: str | os.PathLike[str], about: str = "", source: Source | None = None) -> list[Path]:
    """Write config.json, diffusion_pytorch_model.safetensors and card.md beside `folder`/state.pt.

    Args:
        folder: Of the training.
        about: The training data and its licence, for the card.
        source: The training examples; None: as recorded in the state.

    Returns:
        The files written.

    Raises:
        IptError: There is no state, or the files cannot be written.
    """
    from ipt.priors.weights import CONFIG, TENSORS, export_state

    place = Path(folder)
    path = place / "state.pt"
    if not path.is_file():
        raise IptError(f"{path} does not exist: train first, or give a folder that has it (out=)")
    state, tensors = states.read(path)
    if source is not None:
        state = replace(state, source=source.identity(), examples=str(source))
    known = state.source or {}
    details: dict[str, Any] = {"name": place.resolve().name}
    if "pictures" in known:
        _, height, width, _ = known["pictures"]
        # A local network is trained on crops, and takes pictures of any size.
        details |= {"sizes": _sizes(state.network, height, width), "kind": "image"}
    elif "sizes" in known:
        details |= {"sizes": sorted(known["sizes"])}
    export_state(path, place, **details)
    text = card(place.resolve().name, state, _count(tensors["average"]), about)
    partial = place / f"{CARD}.partial"
    partial.write_text(text, encoding="utf-8")
    partial.replace(place / CARD)
    return [place / CONFIG, place / TENSORS, place / CARD]


def _sizes(network: NetworkConfig, height: int, width: int) -> list[int] | None:
    """The sides of pictures that a network takes after training on pictures of this size; None: any."""
    if isinstance(network, RefinedConfig):
        return network.sides
    return [height] if height == width and not network.local else None


def card(name: str, state: states.About, parameters: int, about: str = "") -> str:
    """The model card in Markdown: data, network, training, validation. It has no date, so that it is reproducible."""
    text = _TEXT.format(
        name=name,
        state=state,
        options=state.options,
        data="\n".join([f"{state.examples or 'Not recorded'}.", *(["", about] if about else [])]),
        earlier_data="".join(f"\n{line}" for line in _earlier_data(state, about)),
        network=_network(state.network),
        parameters=parameters,
        earlier_training="".join(f"\n{line}" for line in _earlier_training(state)),
    )
    if not state.history:
        return f"{text}None was run.\n"
    last = state.history[-1]
    # Before the first validation of this training, that of the initial weights is shown.
    whose = f", as of {state.start.name}" if state.start and last["images"] == state.start.images else ""
    rows = "".join(f"| {' | '.join(row)} |\n" for row in validation_rows(last["validation"]))
    return text + _VALIDATION.format(images=last["images"], whose=whose) + rows


def _network(network: NetworkConfig) -> str:
    if isinstance(network, RefinedConfig):
        *details, coarsest = network.stages()
        details.append(coarsest)
        side = coarsest.side // 2
        parts = [f"Of the picture at {side} x {side} px: {_network(coarsest.base)}"]
        parts += [f"Of the detail at {d.side} x {d.side} px: {_network(d.detail)}" for d in reversed(details)]
        return f"{len(parts)} networks (`ipt/priors/refined.py`). {'. '.join(parts)}"
    return (
        f"U-Net, channels {network.channels}, width {network.width}, "
        f"multipliers {', '.join(map(str, network.multipliers))}, blocks {network.blocks}, patch {network.patch}, "
        f"{'attention at the coarsest level' if network.attention else 'no attention'}, "
        f"normalised by {'groups of features' if network.norm == 'group' else 'pixels'}"
    )


def _earlier_data(state: states.About, about: str) -> list[str]:
    """The data of the initial weights and of the base, quoted, without paragraphs that the card has already."""
    known = {f"{state.examples}.", about, _LEARNT}
    earlier = [origin.data for origin in (state.start, state.base) if origin]
    others = [text for text in _unquoted("\n\n".join(earlier)) if text not in known]
    return ["", _LEARNT, *_quoted(others)] if others else []


def _earlier_training(state: states.About) -> list[str]:
    """The initial weights and the base of a training, and how these were trained."""
    refined, base = [], state.base
    if base:
        how = " How these were trained:" if base.training else ""
        refined = ["", f"Refines the weights {base}, which stay as they are.{how}", *_quoted(_unquoted(base.training))]
    start = state.start
    if start is None:
        return refined
    line = (
        f"Started from the weights `{start.name}` (sha256 {start.sha256[:12]}), which had seen {start.images:,} of the "
        f"examples counted here; the optimizer began anew.{' How these were trained:' if start.training else ''}"
    )
    return ["", line, *_quoted(_unquoted(start.training)), *refined]


def _unquoted(text: str) -> list[str]:
    """The paragraphs of a Markdown text, each once, without one level of quotation marks."""
    parts = (part.strip().removeprefix("> ").replace("\n> ", "\n") for part in text.split("\n\n"))
    return list(dict.fromkeys(part for part in parts if part))


def _quoted(paragraphs: list[str]) -> list[str]:
    return [line for text in paragraphs for line in ("", "> " + text.replace("\n", "\n> "))]


def _count(parameters: dict[str, torch.Tensor]) -> int:
    return sum(value.numel() for value in parameters.values())
