"""The options of `ipt solve` on which its results depend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ipt.images.noise import NoiseOption, plain
from ipt.plugins.plans import DEFAULT_GUIDANCE
from ipt.plugins.run_options import RunOptions

AUTO = "auto"
HALF = "half"
NONE = "none"
MIX = "mix"
LINEAR = "linear"
PINNED = "pinned"
"""The key of run.yaml that holds versions and hashes of weights besides the options (`ipt.folder.pins`)."""


@dataclass(frozen=True)
class SolveOptions(RunOptions):
    """The options that a result depends on; those that are not listed here are documented in `RunOptions`.

    Attributes:
        input: pictures, videos, numpy files (`ipt.images.measurements`) and folders of them; with `frames`, each is a
            series of exposures of one scene. Empty: the example (`ipt.solve.example`).
        prior: by unknown, a component, "name:argument" or the path of weights. Without "image" each picture's size
            decides (`ipt.solve.defaults`); a parameter that is missing has its operator's default prior.
        guidance: registered name of the rule.
        frames: whether each input is a series of exposures of one scene; for the example, their number.
        window: number of frames of a video that are solved together.
        noise: standard deviation of the noise for pictures in 0..1; Poisson noise; a .npy or .npz file with a map of
            standard deviations; None: the operator's own, else estimated from each measurement.
        steps: of the solver; None: the rule's default.
        seed: of the run; each picture's seeds derive from it and the picture's name.
        samples: number of draws of each picture.
        effort: the most draws of a picture, if one sample is asked for and it is likely wrong.
        reference: the clean picture, or a folder of clean pictures with the names of the inputs.
        known: .npy files of known parameters, by name.
        device: a torch device, or "auto".
        precision: of the networks, one of `ipt.priors.precision.PRECISIONS`.
        mask: a picture of the input's size, light where the measurement is trusted.
        clipped: value in 0..1 from which highlights are clipped, and so masked; "auto" or "none" (`ipt.solve.masks`).
        region: (x, y, width, height) in pixels: the parameters are found there first, and the whole picture is solved
            from them; "half": they are found in it at half its sides; "auto": in a large picture, the likelier of
            both (`ipt.solve.region`); "none": all is solved together.
        streak: (x, y, width, height) in pixels: a rectangle about a point of light, or a dark spot, that is blurred to
            a streak; it is the kernel's initial value. None: there is none.
        fit: how a picture of a size that the prior does not take is fitted, one of `ipt.images.choices.FIT_CHOICES`.
        light: what is solved: "linear" (linear light, of which the values are the sRGB encoding), "display" (the
            values), or "auto": linear for a camera's raw files, else display.
        doubtful: what is written of a result that is likely wrong: "mix", its mean with the input, weighted by its
            probability, or "show", the result.
        format: of the results, one of `ipt.images.choices.FORMAT_CHOICES`.
        recursive: whether the subfolders of a folder are taken too.
    """

    input: tuple[Path, ...] = ()
    operator: str = "blur"
    prior: Mapping[str, str] = field(default_factory=dict)
    guidance: str = DEFAULT_GUIDANCE
    frames: bool | int = False
    window: int = 10
    noise: NoiseOption = None
    steps: int | None = None
    seed: int = 0
    samples: int = 1
    effort: int = 3
    border: str | None = None
    reference: Path | None = None
    known: Mapping[str, Path] = field(default_factory=dict)
    set: Mapping[str, Any] = field(default_factory=dict)
    device: str = AUTO
    precision: str = AUTO
    mask: Path | None = None
    clipped: float | str = AUTO
    region: tuple[int, int, int, int] | str = AUTO
    streak: tuple[int, int, int, int] | None = None
    fit: str = "error"
    light: str = AUTO
    doubtful: str = MIX
    format: str = "png"
    recursive: bool = False
    origins: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        given = [str(path) for path in self.input]
        return {
            **super().plain(),
            "input": given if len(given) > 1 else given[0] if given else None,
            "noise": plain(self.noise),
            "region": self.region if isinstance(self.region, str) else ",".join(map(str, self.region)),
            "streak": None if self.streak is None else ",".join(map(str, self.streak)),
        }
