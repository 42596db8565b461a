"""`ipt simulate`: options -> `ipt.simulate.dataset.simulate_all` -> outcomes and the exit code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ipt.cli import kinds
from ipt.cli.console import echo_json
from ipt.cli.errors import DONE, SOME_FAILED
from ipt.cli.options import ENVIRONMENT, as_json, config, flag, option, origins, out_folder, pairs, switch
from ipt.images.noise import NoiseOption
from ipt.simulate.options import DEPTHS, FORMATS, NOISE, SimulateOptions

_EPILOG = """Written: OUT/a.png, the measurement; OUT/truth/a.png, a.kernel.npy, a.kernel.png and a.json. Then
`ipt solve OUT -o RESULTS --reference OUT/truth` compares with the truth."""


@click.command(epilog=_EPILOG, context_settings=ENVIRONMENT)
@click.argument("input", required=False, metavar="CLEAN", type=kinds.path)
@out_folder("Folder for the measurements.")
@option(SimulateOptions, "--operator", kinds.components, "NAME", "What degrades the picture.")
@pairs(
    "--generator",
    kind=kinds.specs,
    metavar="[PARAMETER=]NAME",
    text="What draws the operator's parameters; `ipt list generator`.  [default: each one's usual]",
    environment=False,
)
# Not from the environment: IPT_NOISE is the assumed noise of `ipt solve`.
@option(
    SimulateOptions,
    "--noise",
    kinds.simulated_noise,
    "SIGMA|poisson:PEAK|FILE",
    "Standard deviation of the noise, for values in 0..1; Poisson noise with PEAK counts at 1; or a .npy map of "
    "standard deviations.",
    f"the operator's own, else {NOISE:g}",
    environment=False,
)
@option(
    SimulateOptions,
    "--frames",
    kinds.whole(2),
    "N",
    "Exposures of each picture, in a folder of its own.",
    environment=False,
)
@option(
    SimulateOptions,
    "--video",
    kinds.number,
    "RATE",
    "Write the exposures as a video of RATE frames per second (OUT/a.mkv, lossless, 8 bits) instead of a folder.",
    environment=False,
)
@option(
    SimulateOptions,
    "--moving",
    kinds.number,
    "PIXELS",
    "An object moves in front of the scene by PIXELS from frame to frame.",
    environment=False,
)
@option(SimulateOptions, "--seed", kinds.whole(0), "N", "Seed of the parameters and the noise.")
@option(SimulateOptions, "--border", kinds.text, "MODE", "What lies outside the frame: the operator's option `border`.")
@pairs(
    "--set",
    kind=kinds.settings,
    metavar="PART.OPTION=VALUE",
    text="Any option, as in operator.kernel_size=33.",
    environment=False,
)
@option(SimulateOptions, "--depth", click.Choice(DEPTHS), None, "Bits of the measurement.", environment=False)
@option(
    SimulateOptions,
    "--format",
    click.Choice(FORMATS),
    None,
    "File format of the measurement; if it is no picture, it is an array for png too.",
    environment=False,
)
@switch(
    SimulateOptions,
    "--cut",
    "Measure the middle of CLEAN, so that the border is blurred with real pixels instead of a reflection.",
)
@option(
    SimulateOptions,
    "--rotation",
    kinds.number,
    "DEGREES",
    "Rotation of the camera between the two ends of the kernel, which makes it vary over the frame (blur only).",
    environment=False,
)
@switch(
    SimulateOptions,
    "--linear-light",
    "Degrade linear light, of which CLEAN is the sRGB encoding, as a camera does.",
)
@option(
    SimulateOptions,
    "--exposure",
    kinds.number,
    "FACTOR",
    "Multiply the light by FACTOR; what becomes brighter than white is clipped.",
    environment=False,
)
@option(
    SimulateOptions,
    "--jpeg",
    kinds.whole(1),
    "QUALITY",
    "Compress the measurement as a JPEG of this quality, 1 to 100.",
    environment=False,
)
@config
@flag("--force", text="Replace existing files.")
@as_json
def simulate(
    input: Path | None,
    out: str,
    operator: str,
    generator: Mapping[str, str],
    noise: NoiseOption,
    frames: int | None,
    video: float | None,
    moving: float,
    seed: int,
    border: str | None,
    set: Mapping[str, Any],
    depth: str,
    format: str,
    cut: bool,
    rotation: float,
    linear_light: bool,
    exposure: float,
    jpeg: int | None,
    force: bool,
    as_json: bool,
) -> int:
    """Degrade the picture CLEAN, or every picture of a folder, and keep the truth."""
    if input is None:
        raise click.UsageError("give a clean picture or a folder of them: ipt simulate CLEAN -o OUT")
    options = SimulateOptions(
        input=input,
        operator=operator,
        generator=generator,
        noise=noise,
        seed=seed,
        border=border,
        set=set,
        frames=frames,
        video=video,
        moving=moving,
        depth=depth,
        format=format,
        cut=cut,
        rotation=rotation,
        linear_light=linear_light,
        exposure=exposure,
        jpeg=jpeg,
        origins=origins(),
    )
    from ipt.cli.progress import Reporter
    from ipt.simulate.dataset import simulate_all

    with Reporter() as reporter:
        outcomes = list(simulate_all(options, out, force, reporter))
    if as_json:
        images = [{"input": o.name, **o.record, "status": o.status, "reason": o.reason} for o in outcomes]
        echo_json({"out": out, "images": images})
    return SOME_FAILED if any(outcome.status == "failed" for outcome in outcomes) else DONE
