"""A result on disk, all of its files (`ipt.solve.result_files`) or none, replacing an older result of the same name.

The files are written into a hidden folder and moved into place when they are complete, the json last: where it is, all
files are there. `settle` completes or removes what a killed process has left.
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

from ipt.core.errors import IptError
from ipt.images.atomic import atomic, write_error
from ipt.images.names import beginning
from ipt.images.records import json_text, read_json
from ipt.solve.result import ImageResult
from ipt.solve.result_files import parameter_by_frame, write_files

_REPLACED = "replaced"
"""Name of an older result's json while the newer result is moved into place."""


def roles(parameters: Sequence[str], samples: int = 1, frames: bool = False, reference: bool = False) -> set[str]:
    """The roles of the files that a run writes for a picture: of a.png, "kernel" is a.kernel.npy and a.kernel.png."""
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
    """Write all files of a result and return the path of its json.

    They are prepared in a hidden folder within `out` and moved when they are complete. An older result of that name is
    replaced, and those of its files that the new one lacks are removed, unless they belong to another picture's result.

    Raises:
        IptError: the disk is full, the folder is not writable, the result has NaN.
    """
    with _prepared(out, stem) as folder:
        files, residual = write_files(folder, stem, result), result.residual.detach()
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
            "sizes": {
                name: list(parameter_by_frame(result, name, value)[0].shape)
                for name, value in result.parameters.items()
            },
            "files": files,
        }
        with atomic(folder / f"{stem}.json") as file:
            file.write(json_text(record).encode())
        return _moved(folder, out, stem)


def settle(out: Path, stems: Iterable[str], pages: bool = False) -> None:
    """Clean up after a killed process: move results into place that were complete, and remove incomplete ones.

    Args:
        out: the folder of the results; no other process may be writing these results.
        stems: of the pictures.
        pages: whether to clean up after run.yaml and the report too.
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
    """Move a complete result into place, its json last, and return the json's path.

    After a kill at any moment, a second call completes it.
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


@contextmanager
def _prepared(out: Path, stem: str) -> Iterator[Path]:
    """A hidden folder within `out`, removed afterwards; errors of the disk become messages for the user.

    It stays after a Ctrl-C if it is complete, so that `settle` can finish moving it.
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
    """The names of files that a picture's json lists; empty if there is no json of a result."""
    names = _record(path).get("files", {}).values()
    return {name for name in names if isinstance(name, str) and name.startswith(f"{stem}.") and "/" not in name}


def _is_of_another(out: Path, name: str, stem: str) -> bool:
    """Whether a file belongs to another picture's result: a.sample1.png may be a sample of a.png or a result itself."""
    words = name.split(".")
    others = {".".join(words[:count]) for count in range(1, len(words))} - {stem}
    return any(name in _files_of(out / f"{other}.json", other) for other in others)


def _record(path: Path) -> dict[str, Any]:
    record = read_json(path)
    return record if record.get("status") == "done" and isinstance(record.get("files"), dict) else {}
