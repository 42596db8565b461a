"""The inputs of a run: the given files and folders -> `InputImage`s, and a note about what in a folder is skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ipt.core.errors import IptError, Misuse
from ipt.folder.inputs import InputImage
from ipt.images.choices import USUAL_SUFFIXES, package_for, taken
from ipt.solve import example
from ipt.solve.options import SolveOptions

_RESULTS = ("run.yaml", "report.html")
"""A folder with both holds the results of a run, and is no input."""
_SIMULATED = ("run.yaml", "truth")
"""What `ipt simulate` writes beside the pictures, which is no input."""
_NAMED = 3
"""The most names that a note lists."""


def find_inputs(
    options: SolveOptions, out: Path | None = None, note: Callable[[str], None] | None = None
) -> list[InputImage]:
    """All inputs of a run, in the given order, those of a folder by name, each once.

    Args:
        options: of the run.
        out: the folder of the results, which is not searched.
        note: called with a sentence about files and subfolders that are skipped.

    Raises:
        IptError: there are no inputs; two results would have the same name; an option for files is given without an
            input, or one for the example with an input.
    """
    counted = not isinstance(options.frames, bool)
    if not options.input:
        if options.reference is not None:
            raise Misuse("without an INPUT the example is compared with its own truth; drop reference=")
        if options.frames and not counted:
            raise Misuse("the example needs a number of exposures, as in frames=8; give one, or give an INPUT")
        return [InputImage(example.NAME, None)]
    if counted:
        raise Misuse(
            f"frames={options.frames} is of the example, and the exposures of an INPUT are counted; give frames=True"
        )
    found: dict[str, InputImage] = {}
    for place in options.input:
        for image in _inputs_of(place, options, out, note):
            if image.path is not None:
                found.setdefault(os.path.realpath(image.path), image)
    by_stem: dict[str, InputImage] = {}
    for image in found.values():
        other = by_stem.setdefault(image.stem, image)
        if other is not image:
            _refuse(other, image)
    return list(found.values())


def _inputs_of(
    place: Path, options: SolveOptions, out: Path | None, note: Callable[[str], None] | None
) -> Iterator[InputImage]:
    """The inputs of one file or folder."""
    if not place.exists():
        raise IptError(
            f"{place} does not exist; give a picture ({', '.join(USUAL_SUFFIXES)}, ...) or a folder of pictures"
        )
    if options.frames or not place.is_dir():
        yield InputImage(place.name, place)
        return
    skipped = _Skipped()
    count = 0
    for image in _walk(place, options.recursive, out, skipped):
        count += 1
        yield image
    if count == 0:
        raise IptError(f"{place} holds no pictures{_why_none(skipped, options.recursive)}")
    if note is not None and (skipped.files or skipped.folders):
        note(f"Passed over in {place}: {skipped.described(options.recursive)}.")


@dataclass(frozen=True)
class _Skipped:
    """Files and subfolders of a folder that are no inputs, by their paths within it."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)

    def described(self, recursive: bool) -> str:
        """Both in words."""
        parts = []
        if self.files:
            parts.append(f"{_counted(self.files, 'file')} that ipt does not read{_packages(self.files)}")
        if self.folders:
            why = "that hold results or are links" if recursive else "unless recursive=True"
            parts.append(f"{_counted(self.folders, 'subfolder')} {why}")
        return ", and ".join(parts)


def _walk(place: Path, recursive: bool, out: Path | None, skipped: _Skipped) -> Iterator[InputImage]:
    """The inputs of a folder by name, and with `recursive` of its subfolders; hidden files and folders are ignored."""
    for folder, subfolders, names in os.walk(place, onerror=_unreadable):
        here = Path(folder)
        relative = here.relative_to(place)
        if {*_SIMULATED} <= {*names, *subfolders}:
            names = [name for name in names if name not in _SIMULATED]
            subfolders[:] = [name for name in subfolders if name not in _SIMULATED]
        visible = sorted(name for name in subfolders if name[0] != ".")
        # os.walk descends into what is left in this list.
        subfolders[:] = [name for name in visible if recursive and not _is_no_input(here / name, out)]
        skipped.folders.extend((relative / name).as_posix() for name in visible if name not in subfolders)
        files = sorted(name for name in names if name[0] != ".")
        is_taken = taken(files)
        for name in files:
            if is_taken(name) and (here / name).is_file():
                yield InputImage((relative / name).as_posix(), here / name)
            else:
                skipped.files.append((relative / name).as_posix())


def _is_no_input(folder: Path, out: Path | None) -> bool:
    """Whether a folder is a link, which may form a loop, or holds the results of this run or an earlier one."""
    if folder.is_symlink() or (out is not None and os.path.realpath(folder) == os.path.realpath(out)):
        return True
    return all((folder / name).is_file() for name in _RESULTS)


def _why_none(skipped: _Skipped, recursive: bool) -> str:
    """The end of a message about a folder without pictures."""
    reads = f"; ipt reads {', '.join(USUAL_SUFFIXES)} and more{_packages(skipped.files)}"
    if recursive:
        return f", nor do its subfolders{reads}"
    subfolders = f", and its {len(skipped.folders)} subfolders with recursive=True" if skipped.folders else ""
    return f"{reads}{subfolders}"


def _packages(files: list[str]) -> str:
    """A hint at the packages that reading some of these files needs; "" if none is missing."""
    needed = sorted({package for name in files if (package := package_for(name))})
    return f" (pip install {' '.join(needed)} for some)" if needed else ""


def _counted(names: list[str], what: str) -> str:
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{len(names)} {what}{'s' if len(names) > 1 else ''} ({shown})"


def _refuse(one: InputImage, other: InputImage) -> None:
    assert one.path is not None and other.path is not None
    if one.path.parent == other.path.parent:
        advice = "rename one, or solve it into another folder (out=)"
    else:
        advice = "give the folder that holds both with recursive=True, or solve them into different folders (out=)"
    raise IptError(f"{one.path} and {other.path} would both be called {one.stem!r} in the results; {advice}")


def _unreadable(error: OSError) -> None:
    raise IptError(f"{error.filename} cannot be read ({error.strerror}); check its permissions") from error
