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
NONE = "none"
MIX = "mix"
LINEAR = "linear"
PINNED = "pinned"
"""What a run.yaml says besides its options (`ipt.folder.pins`)."""


@dataclass(frozen=True)
class SolveOptions(RunOptions):
    """What is solved, and how; besides what is listed here, as in `RunOptions`.

    Attributes:
        input: pictures, videos, arrays of numpy (`ipt.images.measurements`), and folders of them or, with `frames`,
            each exposures of one scene; nothing: the example (`ipt.solve.example`).
        prior: component, "name:argument" or path of weights by unknown; without "image", the pictures' sizes choose
            (`ipt.solve.defaults`), and a parameter that is missing has its operator's usual one.
        guidance: registered name of the rule.
        frames: whether the input is exposures of one scene; of the example, how many are made.
        window: of a video, so many frames are solved together.
        noise: standard deviation of the noise, of pictures in 0..1; Poisson noise; a .npy or .npz file with a map of
            standard deviations; None: what the operator says, else estimated from each measurement.
        steps: of the solver; None: the rule's own.
        seed: of the run; the seeds of each picture come from it and the picture's name.
        samples: draws of each picture.
        effort: draws of a picture at most, if one sample is asked for and it is likely wrong.
        reference: the clean picture, or a folder of clean pictures with the names of the inputs.
        known: .npy files of parameters that are given, by name.
        device: a torch device, or "auto".
        precision: of the networks, one of `ipt.priors.precision.PRECISIONS`.
        mask: a picture, light where a measurement of its size is to be trusted.
        clipped: from which value on highlights are clipped, and not trusted; "auto": chosen (`ipt.solve.masks`);
            "none": there are none.
        region: (x, y, width, height) in pixels, where the parameters are found before all of the picture is solved with
            them; "auto": chosen, in a large picture (`ipt.solve.region`); "none": all is solved together.
        streak: (x, y, width, height) in pixels, a rectangle about a small light or dark spot that is blurred to a
            streak, as which the kernel begins; None: there is none.
        fit: what happens to a picture that the prior does not take: one of `ipt.images.choices.FIT_CHOICES`.
        light: in what a picture is solved: "linear" (its light, of which the values are the sRGB encoding), "display"
            (its values), "auto": linear for what a camera's raw file holds, else display.
        doubtful: what is written of a result that is likely wrong: "mix", of it as much as is likely right, and of the
            input the rest, or "show", all of it.
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
