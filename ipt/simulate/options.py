"""The options of `ipt simulate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ipt.images.noise import NoiseOption, plain
from ipt.plugins.run_options import RunOptions

DEPTHS = ("input", "8", "16")
FORMATS = ("png", "npy", "npz")
NOISE = 0.01
"""Of pictures."""


@dataclass(frozen=True)
class SimulateOptions(RunOptions):
    """How clean pictures are degraded; besides what is listed here, as in `RunOptions`.

    Attributes:
        input: a clean picture, or a folder of them.
        generator: registered names by parameter; "image": of every parameter without one of its own.
        noise: standard deviation of white noise, of pictures in 0..1; Poisson noise; a .npy or .npz file with a map of
            standard deviations; None: what the operator says, else `NOISE`.
        seed: of the run; parameters and noise of each picture come from it and the picture's name.
        frames: exposures of each picture, in a folder of its own; None: one.
        video: of frames: they make a video of so many a second, instead of a folder; None: they do not.
        moving: pixels from frame to frame by which a thing moves in front of the scene; 0: none does.
        depth: of the measurements in bits, one of DEPTHS; "input": as the clean picture's.
        format: of the measurements, one of FORMATS; those that are no pictures are arrays with "png" too.
        cut: the measurement is of the picture's middle, so that what lies around it is real.
        rotation, linear_light, exposure, jpeg: as of `ipt.simulate.camera.Camera`.
    """

    input: Path
    operator: str = "blur"
    generator: Mapping[str, str] = field(default_factory=dict)
    noise: NoiseOption = None
    seed: int = 0
    border: str | None = None
    set: Mapping[str, Any] = field(default_factory=dict)
    frames: int | None = None
    video: float | None = None
    moving: float = 0.0
    depth: str = "input"
    format: str = "png"
    cut: bool = False
    rotation: float = 0.0
    linear_light: bool = False
    exposure: float = 1.0
    jpeg: int | None = None
    origins: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        return {**super().plain(), "noise": plain(self.noise)}
