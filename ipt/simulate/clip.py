"""Several frames of one scene in the order of time, with parameters that change smoothly and an object that moves."""

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

_RADII = 10
"""Radii of the moving disc that make up the picture's smaller side."""


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
    """Simulate several measurements of one scene, in the order of time.

    Args:
        clean: the scene, (C, H, W) in 0..1.
        operator: the forward model.
        generators: generators of its parameters, by name.
        noise: as in `simulate`.
        seed: seed of the scene.
        frames: number of measurements.
        cut: as in `simulate`.
        camera: as in `simulate`.
        speed: speed of a disc that moves to the right in front of the scene, in pixels per frame; 0: no disc.

    Returns:
        The simulations, whose clean picture is the scene without the disc; and the disc's mask before any tilt,
        (frames, 1, H, W) of 0 and 1, or None without a disc.
    """
    specs = operator.parameters(tuple(image_of(clean, operator, cut).shape[1:]))
    # Parameters that change smoothly from frame to frame are drawn for all frames at once.
    sequences: list[Unknowns] = [{} for _ in range(frames)]
    for name, generator in generators.items():
        if frames > 1 and isinstance(generator, Sequential) and not specs[name].shared:
            whole = generator.sequence(parameter_seed(seed, name), frames, specs[name].shape)
            if whole is not None:
                for known, value in zip(sequences, whole, strict=False):
                    known[name] = value
    made, discs = [], []
    for number, (own_seed, known) in enumerate(zip(exposure_seeds(seed, frames), sequences, strict=True)):
        disc = _moving_disc(clean, speed * number) if speed else torch.zeros_like(clean[:1])
        scene = torch.where(disc > 0, 1 - clean.flip(-1), clean)
        drawn = {name: generator for name, generator in generators.items() if name not in known}
        made.append(simulate(scene, operator, drawn, noise, own_seed, cut, camera, known, scene=seed))
        discs.append(disc)
    if not speed:
        return made, None
    still = simulate(clean, operator, generators, 0.0, seed, cut, camera).clean
    image = image_of(torch.cat(discs), operator, cut)[0]
    mask = image[(slice(None), *frame_of(operator, image[None]))][:, None]
    return [replace(one, clean=still) for one in made], mask


def _moving_disc(clean: Tensor, way: float) -> Tensor:
    """Mask of a disc that has moved `way` pixels to the right from a quarter of the picture's width, (1, H, W)."""
    height, width = clean.shape[1:]
    down, right = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    away = torch.hypot(down - height / 2, right - (width / 4 + way) % width)
    return (away <= math.ceil(min(height, width) / _RADII)).float()[None]
