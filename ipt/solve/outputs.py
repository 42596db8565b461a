"""The files of a result, written whole or not at all.

For an input a.png: a.png (the result, with the suffix of its format; beside an array, a.npy, a picture of it),
a.measurement.png (and a.measurement.npy, where it is no picture), a.residual.png, and
a.kernel.npy for a parameter named "kernel", with a picture a.kernel.png if it has one channel (or two: a field); with
samples a.sample1.png and a.sample1-kernel.png ..., a.spread.npy and a.spread.png; with the truth a.reference.png;
where not all was trusted a.mask.png; and a.json. Of several frames, a.measurement.png is the first, a.mean.png and
a.median.png are made of them all, a.kernel.npy is (frames, C, H, W), or (C, H, W) where they share it, and a.kernel.png
and a.residual.png show one beside the other, and a.mask.png the frames, red where they were not trusted. The a.json is
written last: where it is, all is there.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ipt.core.errors import IptError
from ipt.images import measurements
from ipt.images.atomic import atomic, write_error
from ipt.images.choices import is_array
from ipt.images.fields import parameter_picture
from ipt.images.files import Picture, write
from ipt.images.formats import write_as
from ipt.images.names import beginning
from ipt.images.parameters import write_parameter
from ipt.images.pictures import (
    MOST_FRAMES,
    reddened,
    residual_picture,
    screen_picture,
    sheet_of_frames,
    spread_picture,
)
from ipt.images.records import json_text, read_json
from ipt.solve.result import ImageResult

_REPLACED = "replaced"
"""The json of an older result, while the newer one is moved to its place."""


def roles(parameters: Sequence[str], samples: int = 1, frames: bool = False, reference: bool = False) -> set[str]:
    """What the files of a picture are for: of a.png, "kernel" is a.kernel.npy and a.kernel.png."""
    numbers = range(1, samples + 1) if samples > 1 else ()
    drawn = {f"sample{number}" for number in numbers} | ({"spread"} if samples > 1 else set())
    drawn |= {f"sample{number}-{name}" for number in numbers for name in parameters}
    others = {"mean", "median"} if frames else set()
    return {
        "measurement",
        "residual",
        "mask",
        "failed",
        *parameters,
        *drawn,
        *others,
        *(["reference"] if reference else []),
    }


def read_record(out: Path, stem: str) -> dict[str, Any]:
    """The json of a picture's result in a folder; empty where there is none, or a file that is not ours."""
    return _record(out / f"{stem}.json")


def write_result(out: Path, stem: str, result: ImageResult) -> Path:
    """Write everything of one image and return the path of its json.

    All is prepared in a hidden folder within `out` and moved when it is complete; an older result of that name is
    replaced, its files that the new one lacks removed, but for those that another picture's result has.

    Raises:
        IptError: the disk is full, the folder is not writable, the result has NaN.
    """
    with _prepared(out, stem) as folder:
        files, residual = _write_files(folder, stem, result), result.residual.detach()
        record = {
            **result.record,
            "status": "done",
            "noise": result.noise,
            "residual": math.sqrt(sum(float(one.double().square().mean()) for one in residual) / len(residual)),
            "spread_top": None if result.spread is None else float(result.spread.mean(0).max()),
            "trace": [float(value) for value in result.trace],
            "shape": list(result.picture.shape),
            "depth": result.picture.depth,
            "frames": result.frames,
            "sizes": {name: list(_each(result, name, value)[0].shape) for name, value in result.parameters.items()},
            "files": files,
        }
        with atomic(folder / f"{stem}.json") as file:
            file.write(json_text(record).encode())
        return _moved(folder, out, stem)


def settle(out: Path, stems: Iterable[str], pages: bool = False) -> None:
    """Finish what a killed process was writing of these images, if all of it was there, and remove the rest.

    Nothing else may be writing them; pages: the same for run.yaml and the report.
    """
    names = {beginning(name) for stem in stems for name in (stem, f"{stem}.json", f"{stem}.failed.json")}
    names |= {"run.yaml", "report.html"} if pages else set()
    for left in out.glob(".*.partial"):
        if left.name.removeprefix(".").removesuffix(".partial").rpartition(".")[0] not in names:
            continue
        if left.is_file():
            left.unlink(missing_ok=True)
            continue
        for complete in left.glob("*.json"):
            with suppress(OSError):
                _moved(left, out, complete.name.removesuffix(".json"))
        shutil.rmtree(left, ignore_errors=True)


def left_over(out: Path, stem: str) -> bool:
    """Whether a process was killed while it wrote this image's result, so that there may be files without a json."""
    return any(out.glob(f".{escape(beginning(stem))}.*.partial"))


def _moved(folder: Path, out: Path, stem: str) -> Path:
    """Move a complete result to its place, its json last: the path of that.

    Done again after a kill at any moment, it ends the same.
    """
    final, replaced = out / f"{stem}.json", folder / _REPLACED
    # From here on the old result is incomplete, so its json goes first.
    if final.exists():
        os.replace(final, replaced)
    names = set(_files_of(folder / final.name, stem))
    for name in sorted(names):
        if (folder / name).exists():
            os.replace(folder / name, out / name)
    for name in _files_of(replaced, stem) - names:
        if not _is_of_another(out, name, stem):
            (out / name).unlink(missing_ok=True)
    (out / f"{stem}.failed.json").unlink(missing_ok=True)
    os.replace(folder / final.name, final)
    return final


def write_failure(out: Path, stem: str, reason: str, record: Mapping[str, Any] | None = None) -> Path:
    """Say in a.failed.json why an image has no result, for the report; a later result removes it."""
    path = out / f"{stem}.failed.json"
    with atomic(path) as file:
        file.write(json_text({**(record or {}), "status": "failed", "reason": reason}).encode())
    return path


def _write_files(folder: Path, stem: str, result: ImageResult) -> dict[str, str]:
    """Write the files of a result: their names by what they are."""
    names: dict[str, str] = {}

    def picture(role: str, value: Picture | np.ndarray) -> None:
        names[role] = f"{stem}.{role.replace(' ', '')}.png"
        write(folder / names[role], value)

    def values(role: str, value: Tensor) -> None:
        names[f"{role} values"] = f"{stem}.{role}.npy"
        write_parameter(folder / f"{stem}.{role}.npy", value)

    def shown(values: Tensor, seen: Picture, plainly: bool) -> Picture | np.ndarray:
        """What people see of numbers: the picture that they are, or one of any numbers."""
        return seen if plainly and measurements.fits_picture(values) else measurements.drawn(values)

    image, measured = result.picture, result.measurement
    names["result"] = f"{stem}{result.suffix}"
    write_as(folder / names["result"], image)
    if is_array(result.suffix):
        names["result values"], names["result"] = names["result"], f"{stem}.png"
        write(folder / names["result"], shown(image.pixels, image, True))
    picture("measurement", shown(measured.pixels, measured, result.spec is None))
    if result.spec is not None or not measurements.fits_picture(measured.pixels):
        names["measurement values"] = f"{stem}.measurement.npy"
        is_complex = result.spec is not None and result.spec.is_complex
        measurements.write(folder / names["measurement values"], measured.pixels, is_complex=is_complex)
    for name, combined in result.combined.items():
        picture(name, shown(combined.pixels, combined, result.spec is None))
    picture("residual", _sheet([residual_picture(one, result.noise) for one in _apart(result.residual, result.frames)]))
    for name, value in result.parameters.items():
        each = _each(result, name, value)
        values(name, each if len(each) > 1 else value)
        pictures = [drawn for one in each if (drawn := parameter_picture(one, image.pixels)) is not None]
        if pictures:
            picture(name, _sheet(pictures))
    for number, sample in enumerate(result.samples if result.samples is not None else (), 1):
        picture(f"sample {number}", shown(sample, image.with_pixels(sample), True))
        for name, value in result.drawn.items():
            if (drawn := parameter_picture(_each(result, name, value[number - 1])[0], sample)) is not None:
                picture(f"sample {number}-{name}", drawn)
    if result.spread is not None:
        values("spread", result.spread)
        picture("spread", spread_picture(result.spread))
    if result.mask is not None:
        picture("mask", _mask(result))
    if result.reference is not None:
        picture("reference", shown(result.reference.pixels, result.reference, True))
    return names


def _mask(result: ImageResult) -> np.ndarray:
    """What was trusted, white; of several exposures these, red where they were not trusted."""
    assert result.mask is not None
    masks: list[np.ndarray] = [(255 * one.numpy()).astype(np.uint8) for one in result.mask]
    if not result.exposures:
        return masks[0]
    shown = [screen_picture(one.pixels) for one in result.exposures[:MOST_FRAMES]]
    each = zip(shown, masks[: len(shown)], strict=True)
    return sheet_of_frames([np.asarray(reddened(one, Image.fromarray(mask))) for one, mask in each])


def _each(result: ImageResult, name: str, value: Tensor) -> Tensor:
    """A parameter of every frame, (frames, C, H, W); (1, C, H, W) of what they share."""
    return _apart(value, 1 if name in result.shared else result.frames)


def _apart(stacked: Tensor, frames: int) -> Tensor:
    """(frames * C, H, W) -> (frames, C, H, W)."""
    return stacked.reshape(frames, -1, *stacked.shape[1:])


def _sheet(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return pictures[0] if len(pictures) == 1 else sheet_of_frames(pictures)


@contextmanager
def _prepared(out: Path, stem: str) -> Iterator[Path]:
    """A hidden folder within `out`, gone afterwards; errors of the disk become messages for the user.

    It stays after a Ctrl-C while what is complete is being moved, which `settle` finishes.
    """
    target = out / f"{stem}.png"
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{beginning(stem)}.", suffix=".partial", dir=out))
    except OSError as error:
        raise write_error(target, error) from error
    kept = False
    try:
        yield folder
    except KeyboardInterrupt:
        kept = (folder / f"{stem}.json").exists()
        raise
    except (OSError, IptError) as error:
        # An error from within the hidden folder names a file in it, which the user never sees.
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError):
            raise write_error(target, cause) from cause
        raise IptError(str(error).replace(str(folder), str(out))) from error
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


def _files_of(path: Path, stem: str) -> set[str]:
    """The names that an image's json lists; none if there is none, or it is not ours."""
    names = _record(path).get("files", {}).values()
    return {name for name in names if isinstance(name, str) and name.startswith(f"{stem}.") and "/" not in name}


def _is_of_another(out: Path, name: str, stem: str) -> bool:
    """Whether a file is of the result of another picture than `stem`: a.sample1.png may be of a.png and of itself."""
    words = name.split(".")
    others = {".".join(words[:count]) for count in range(1, len(words))} - {stem}
    return any(name in _files_of(out / f"{other}.json", other) for other in others)


def _record(path: Path) -> dict[str, Any]:
    record = read_json(path)
    return record if record.get("status") == "done" and isinstance(record.get("files"), dict) else {}
