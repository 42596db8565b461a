"""What a run leaves in its folder: the results of an image, whole or not at all, and run.yaml.

For an input a.png: a.png (the result), a.measurement.png, a.residual.png, and a.kernel.npy and a.kernel.png for a
parameter named "kernel"; with samples a.sample1.png ..., a.spread.npy and a.spread.png; with the truth
a.reference.png; and a.json. The a.json is written last: where it is, all is there.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from torch import Tensor

from ipt.core.errors import IptError
from ipt.images.atomic import atomic, write_error
from ipt.images.files import Picture, write
from ipt.images.pictures import kernel_picture, residual_picture, spread_picture


@dataclass(frozen=True)
class ImageResult:
    """All that is known of one solved image.

    picture: the result, with the input's depth, alpha and metadata. measurement: what was solved. parameters: by name,
    (C, H, W) in physical units. residual: measurement - prediction, (C, H, W). noise: its standard deviation, in 0..1.
    trace: root mean square of the residual after every step. samples: (K, C, H, W), and spread: their standard
    deviation (C, H, W). reference: the truth. record: what else a.json says; the report shows "input", "seconds",
    "calls" {unknown: count}, "metrics" {name: number}, "options" {name: {"value": ..., "from": ...}}, "seed",
    "versions" and "weights".
    """

    picture: Picture
    measurement: Picture
    parameters: Mapping[str, Tensor]
    residual: Tensor
    noise: float
    trace: Sequence[float]
    samples: Tensor | None = None
    spread: Tensor | None = None
    reference: Picture | None = None
    record: Mapping[str, Any] = field(default_factory=dict)


def write_result(out_dir: str | os.PathLike[str], stem: str, result: ImageResult) -> Path:
    """Write everything of one image and return the path of its json.

    All is prepared in a hidden folder within `out_dir` and moved when it is complete; an older result of that name is
    replaced, its files that the new one lacks removed. IptError: the disk is full, the folder is not writable, the
    result has NaN.
    """
    out = Path(out_dir)
    files = _Files(stem)
    with _prepared(out, stem) as folder:
        files.write_all(folder, result)
        final = out / f"{stem}.json"
        old = _files_of(final)
        record = {
            **result.record,
            "status": "done",
            "noise": result.noise,
            "residual": float(result.residual.detach().double().square().mean().sqrt()),
            "spread_top": None if result.spread is None else float(result.spread.mean(0).max()),
            "trace": [float(value) for value in result.trace],
            "shape": list(result.picture.shape),
            "depth": result.picture.depth,
            "sizes": {name: list(value.shape) for name, value in result.parameters.items()},
            "files": files.names,
        }
        written = json_text(record)
        # From here on the old result is incomplete, so its json goes first.
        final.unlink(missing_ok=True)
        for name in files.names.values():
            os.replace(folder / name, out / name)
        for name in old - set(files.names.values()):
            (out / name).unlink(missing_ok=True)
        (out / f"{stem}.failed.json").unlink(missing_ok=True)
        with atomic(final) as file:
            file.write(written.encode())
    return final


def write_failure(
    out_dir: str | os.PathLike[str], stem: str, reason: str, record: Mapping[str, Any] | None = None
) -> Path:
    """Say in a.failed.json why an image has no result: for the report, and for the next run. A later result removes
    it."""
    path = Path(out_dir) / f"{stem}.failed.json"
    with atomic(path) as file:
        file.write(json_text({**(record or {}), "status": "failed", "reason": reason}).encode())
    return path


def write_run_yaml(out_dir: str | os.PathLike[str], options: Mapping[str, Any]) -> Path:
    """OUT/run.yaml: options that `--config` reads, in the order given; plain values only."""
    path = Path(out_dir) / "run.yaml"
    with atomic(path) as file:
        file.write(yaml.safe_dump(_plain(options), sort_keys=False, allow_unicode=True, width=100).encode())
    return path


def json_text(record: Mapping[str, Any]) -> str:
    """Standard JSON: tensors, arrays, paths and tuples become plain values; NaN and infinite numbers null."""
    return json.dumps(_plain(record, finite=True), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


class _Files:
    """Writes the files of one result and remembers their names by role."""

    def __init__(self, stem: str):
        self.stem = stem
        self.names: dict[str, str] = {}

    def write_all(self, folder: Path, result: ImageResult) -> None:
        def add(role: str, ending: str, writer: Callable[[Path], None]) -> None:
            name = f"{self.stem}{ending}"
            writer(folder / name)
            self.names[role] = name

        add("result", ".png", partial(write, picture=result.picture))
        add("measurement", ".measurement.png", partial(write, picture=result.measurement))
        add("residual", ".residual.png", partial(write, picture=residual_picture(result.residual, result.noise)))
        for name, value in result.parameters.items():
            add(f"{name} values", f".{name}.npy", partial(_save, value=value))
            if len(value) == 1:
                add(name, f".{name}.png", partial(write, picture=kernel_picture(value)))
        if result.samples is not None:
            for number, sample in enumerate(result.samples, 1):
                picture = result.picture.with_pixels(sample)
                add(f"sample {number}", f".sample{number}.png", partial(write, picture=picture))
        if result.spread is not None:
            add("spread values", ".spread.npy", partial(_save, value=result.spread))
            add("spread", ".spread.png", partial(write, picture=spread_picture(result.spread)))
        if result.reference is not None:
            add("reference", ".reference.png", partial(write, picture=result.reference))


@contextmanager
def _prepared(out: Path, stem: str) -> Iterator[Path]:
    """A hidden folder within `out`, gone afterwards however it ends; errors of the disk become messages for the
    user."""
    target = out / f"{stem}.png"
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{stem[:100]}.", suffix=".partial", dir=out))
    except OSError as error:
        raise write_error(target, error) from error
    try:
        yield folder
    except (OSError, IptError) as error:
        # An error from within the hidden folder names a file in it, which the user never sees.
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError):
            raise write_error(target, cause) from cause
        raise IptError(str(error).replace(str(folder), str(out))) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _save(path: Path, value: Tensor) -> None:
    with atomic(path) as file:
        np.save(file, value.detach().cpu().float().numpy())


def _files_of(path: Path) -> set[str]:
    """The names that an earlier json lists; none if there is none, or it is not ours."""
    try:
        names = set(json.loads(path.read_text(encoding="utf-8"))["files"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return set()
    stem = path.name.removesuffix(".json")
    return {name for name in names if isinstance(name, str) and name.startswith(f"{stem}.") and "/" not in name}


def _plain(value: Any, finite: bool = False) -> Any:
    """Only dictionaries, lists, strings, numbers, booleans and None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, finite) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, finite) for item in value]
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return _plain(value.tolist(), finite)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) or not finite else None
    if value is None or isinstance(value, str | bool | int):
        return value
    return str(value)
