"""`InputImage`, an input of a run, and checks that its results overwrite neither inputs nor other results."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ipt.core.errors import IptError
from ipt.images import files, measurements
from ipt.images.formats import suffixes
from ipt.images.names import fitting
from ipt.images.records import file_hash, identity
from ipt.images.video import frame_shape, is_video
from ipt.solve.options import SolveOptions
from ipt.solve.outputs import left_over, read_record


@dataclass(frozen=True)
class InputImage:
    """An input that becomes one picture (of a video, one video).

    Attributes:
        name: of the file; in a folder that is searched with its subfolders, the path within it, with slashes.
        path: a file, or a folder or file of exposures; None: the example.
    """

    name: str
    path: Path | None

    @property
    def place(self) -> str:
        """The name without its suffix."""
        return self.name if self.path is not None and self.path.is_dir() else Path(self.name).with_suffix("").as_posix()

    @property
    def stem(self) -> str:
        """What the names of its results begin with: "a" of a.png, "trip-a" of trip/a.png; long names are cut."""
        return fitting(self.place.replace("/", "-"))

    @property
    def content(self) -> str:
        """A hash of the file, or of all exposures; of the example its name."""
        if self.path is None:
            return self.name
        if not self.path.is_dir():
            return file_hash(self.path)
        return identity({path.name: file_hash(path) for path in files.inputs(self.path)})

    @property
    def is_video(self) -> bool:
        """Whether it is solved in windows of its frames (`ipt.folder.video`)."""
        return self.path is not None and is_video(self.path)

    @cached_property
    def shape(self) -> tuple[int, ...] | None:
        """(C, H, W), of several exposures that of the first; None for the example, and if it cannot be read."""
        try:
            if self.path is None:
                return None
            return frame_shape(self.path) if self.is_video else measurements.shape_of(files.inputs(self.path)[0])
        except IptError:
            return None


def is_folder(options: SolveOptions) -> bool:
    """Whether the input is several pictures or a folder of them, so that one picture's failure does not end the run."""
    given = options.input
    return len(given) > 1 or (len(given) == 1 and not options.frames and given[0].is_dir())


def check_names(inputs: Sequence[InputImage], own: Sequence[InputImage], out: Path, roles: Collection[str]) -> None:
    """Check that no result has the name of an input, or of a result of another picture in `out`.

    Args:
        inputs: of the whole run.
        own: those that this process solves.
        out: the folder of the results.
        roles: of the files of this run's results (`ipt.solve.outputs.roles`).

    Raises:
        IptError: one has.
    """
    stems = {each.stem for each in inputs}
    older_stems = {path.name.removesuffix(".json") for path in out.glob("*.json")} - stems
    for each in own:
        home = each.path and (each.path if each.path.is_dir() else each.path.parent)
        if home is not None and os.path.realpath(home) == os.path.realpath(out):
            raise IptError(f"the results would replace the inputs in {out}; choose another output folder (out=)")
        for role in roles:
            if f"{each.stem}.{role}" in stems:
                raise IptError(
                    f"{each.stem}.{role} would be a result of {each.name}, and is an input; "
                    f"give a folder that holds pictures alone, not results of ipt"
                )
        for other in older_stems & _possible_clashes(each.stem, roles):
            names = set(read_record(out, other).get("files", {}).values())
            if names & {f"{each.stem}{ending}" for ending in _endings(roles)}:
                raise IptError(
                    f"{out} has results of {other} that those of {each.name} would replace; choose another out="
                )


def check_files(own: Iterable[InputImage], out: Path, choice: str = SolveOptions.format) -> None:
    """Check that files in `out` with the names of results are results of the same pictures.

    Args:
        own: the inputs that are solved.
        out: the folder of the results.
        choice: format of the results, one of `ipt.images.choices.FORMAT_CHOICES`.

    Raises:
        IptError: one is no result of ipt, or the result of another picture.
    """
    for each in own:
        record = read_record(out, each.stem)
        if (other := _other_picture(record, each)) is not None:
            raise IptError(
                f"{out} has the result of {other} as {each.stem!r}, which that of {each.path} would replace; "
                f"choose another folder (out=), or replace it (force=True)"
            )
        for path in (out / f"{each.stem}{suffix}" for suffix in (*suffixes(choice), ".json")):
            if path.exists() and not record and not left_over(out, each.stem):
                raise IptError(
                    f"{path} is there and no result of ipt; choose another folder (out=), or replace it (force=True)"
                )


def _other_picture(record: Mapping[str, Any], image: InputImage) -> Path | None:
    """The picture that a record belongs to, if it exists and is not `image`; a picture that was moved is the same."""
    solved = Path(str(record.get("path") or ""))
    if not record.get("path") or image.path is None or solved == image.path or not solved.exists():
        return None
    try:
        return None if record.get("input_sha256") == image.content else solved
    except IptError:
        # An unreadable picture is reported when it is solved.
        return None


def _possible_clashes(stem: str, roles: Collection[str]) -> set[str]:
    """Stems of pictures whose results may have the same file names as those of `stem`."""
    words = stem.split(".")
    return {".".join(words[:count]) for count in range(1, len(words))} | {f"{stem}.{role}" for role in roles}


def _endings(roles: Collection[str]) -> set[str]:
    return {*suffixes("same"), *(f".{role}{suffix}" for role in roles for suffix in (".png", ".npy"))}
