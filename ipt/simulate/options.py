"""The options of `ipt simulate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ipt.core.errors import Misuse
from ipt.images.noise import NoiseOption, plain
from ipt.plugins.run_options import RunOptions

DEPTHS = ("input", "8", "16")
FORMATS = ("png", "npy", "npz")
NOISE = 0.01
"""Default standard deviation of the noise of pictures, in units of 0..1."""


@dataclass(frozen=True)
class SimulateOptions(RunOptions):
    """How clean pictures are degraded; besides what is listed here, as in `RunOptions`.

    Attributes:
        input: a clean picture, or a folder of them.
        generator: registered names by parameter; "image": of every parameter without one of its own.
        noise: standard deviation of white noise, of pictures in 0..1; Poisson noise; a .npy or .npz file with a map of
            standard deviations; None: what the operator says, else `NOISE`.
        seed: seed of the run; parameters and noise of each picture come from it and the picture's name.
        frames: exposures of each picture, in a folder of its own; None: one.
        video: frames per second of a video that frames are written to, instead of a folder; None: a folder.
        moving: speed of a disc that moves in front of the scene, in pixels per frame; 0: no disc.
        depth: bits of the measurements, one of DEPTHS; "input": as many as the clean picture has.
        format: format of the measurements, one of FORMATS; measurements that are no pictures are .npy with "png" too.
        cut: measure the picture's middle alone, so that real pixels surround the frame.
        rotation, linear_light, exposure, jpeg: as in `ipt.simulate.camera.Camera`.
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

    def of_pictures(self) -> list[str]:
        """The options that are set and of pictures alone, "jpeg=80"."""
        usual = {field.name: field.default for field in fields(self)}
        names = ("depth", "rotation", "linear_light", "exposure", "jpeg")
        return [f"{name}={getattr(self, name)}" for name in names if getattr(self, name) != usual[name]]

    def check_formats(self) -> None:
        """Misuse where the options of the files contradict each other."""
        if self.jpeg and self.depth == "16":
            raise Misuse("a JPEG has 8 bits; drop depth=16, or jpeg=")
        if (self.video or self.moving) and not self.frames:
            raise Misuse("video= and moving= are of several exposures; say how many, as in frames=50")
        if self.video is not None and (self.video <= 0 or self.depth == "16"):
            raise Misuse("a video has frames of 8 bits, and more than none a second; drop depth=16, or video=")
