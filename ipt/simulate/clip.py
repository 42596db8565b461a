"""Frames of one scene one after the other: what the wind carries along, and a thing that moves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ipt.core.operator import Generator, ParametricOperator, Unknowns
from ipt.images.noise import Poisson
from ipt.operators.draws import Sequential
from ipt.simulate.camera import Camera
from ipt.simulate.framing import frame_of, image_of
from ipt.simulate.simulation import Simulation, exposure_seeds, parameter_seed, simulate

_PART = 10
"""Radius of the thing that moves, as a share of the picture's smaller side, inverted."""


def simulate_frames(
    clean: Tensor,
    operator: ParametricOperator,
    generators: Mapping[str, Generator],
    noise: float | Poisson | Tensor,
    seed: int,
    frames: int,
    cut: bool = False,
    camera: Camera | None = None,
    speed: float = 0.0,
) -> tuple[list[Simulation], Tensor | None]:
    """Measurements of one scene, in the order of time.

    Args:
        clean: the scene, (C, H, W) in 0..1.
        operator: what degrades it.
        generators: of its parameters, by name.
        noise: as of `simulate`.
        seed: of the scene.
        frames: how many.
        cut: as of `simulate`.
        camera: as of `simulate`.
        speed: of a thing that moves to the right in front of the scene, in pixels from frame to frame; 0: none does.

    Returns:
        Frame after frame; and where the thing is, (frames, 1, H, W) of 0 and 1, before any tilt; None without one.
    """
    specs = operator.parameters(tuple(image_of(clean, operator, cut).shape[1:]))
    together: list[Unknowns] = [{} for _ in range(frames)]
    for name, generator in generators.items():
        if frames > 1 and isinstance(generator, Sequential):
            whole = generator.sequence(parameter_seed(seed, name), frames, specs[name].shape)
            for own, value in zip(together, () if whole is None else whole, strict=False):
                own[name] = value
    made, places = [], []
    for number, one in enumerate(exposure_seeds(seed, frames)):
        place = thing(clean, speed * number) if speed else torch.zeros_like(clean[:1])
        scene = torch.where(place > 0, 1 - clean.flip(-1), clean)
        drawn = {name: generator for name, generator in generators.items() if name not in together[number]}
        made.append(simulate(scene, operator, drawn, noise, one, cut, camera, together[number], scene=seed))
        places.append(place)
    if not speed:
        return made, None
    # The truth is the scene without it.
    still = simulate(clean, operator, generators, 0.0, seed, cut, camera).clean
    image = image_of(torch.cat(places), operator, cut)[0]
    return [replace(one, clean=still) for one in made], image[(slice(None), *frame_of(operator, image[None]))][:, None]


def thing(clean: Tensor, way: float) -> Tensor:
    """Where a disc is that has gone so many pixels to the right from a quarter of the picture on, (1, H, W)."""
    height, width = clean.shape[1:]
    down, right = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    away = torch.hypot(down - height / 2, right - (width / 4 + way) % width)
    return (away <= math.ceil(min(height, width) / _PART)).float()[None]
