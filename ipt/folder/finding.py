"""Which pictures a run solves: the files and folders that were typed, and what in a folder is passed over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ipt.core.errors import IptError, Misuse
from ipt.folder.inputs import InputImage
from ipt.images.choices import USUAL_SUFFIXES, package_for, taken
from ipt.solve import example
from ipt.solve.options import SolveOptions

_RESULTS = ("run.yaml", "report.html")
"""A folder with both is the result of a run, not pictures to solve."""
_SIMULATED = ("run.yaml", "truth")
"""What `ipt simulate` writes beside the pictures."""
_NAMED = 3
"""So many names in a note; of the others it has the count."""


def find_inputs(
    options: SolveOptions, out: Path | None = None, note: Callable[[str], None] | None = None
) -> list[InputImage]:
    """All inputs of a run, in the order that was given, those of a folder by name, each once.

    Args:
        options: what is to be solved.
        out: the folder of the results, in which no input is looked for.
        note: called with a sentence about what in a folder is passed over.

    Raises:
        IptError: there is none, or two results would have the same name; the options are of a file and there is only
            the example, or the other way round.
    """
    counted = not isinstance(options.frames, bool)
    if not options.input:
        if options.reference is not None:
            raise Misuse("without an INPUT the example is compared with its own truth; drop reference=")
        if options.frames and not counted:
            raise Misuse("the example is as many exposures as you say, as in frames=8; say so, or give an INPUT")
        return [InputImage(example.NAME, None)]
    if counted:
        raise Misuse(
            f"frames={options.frames} is of the example, and the exposures of an INPUT are counted; give frames=True"
        )
    found: dict[str, InputImage] = {}
    for place in options.input:
        for image in _of(place, options, out, note):
            if image.path is not None:
                found.setdefault(os.path.realpath(image.path), image)
    by_stem: dict[str, InputImage] = {}
    for image in found.values():
        other = by_stem.setdefault(image.stem, image)
        if other is not image:
            _refuse(other, image)
    return list(found.values())


def _of(
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
    count, left, folders = 0, [], []
    for folder, below, names in os.walk(place, onerror=_unreadable):
        here = Path(folder)
        relative = here.relative_to(place)
        below.sort()
        if {*_SIMULATED} <= {*names, *below}:
            names, below[:] = ([name for name in each if name not in _SIMULATED] for each in (names, below))
        for name in list(below):
            if name[0] != "." and options.recursive and not _is_passed_over(here / name, out):
                continue
            below.remove(name)
            folders += [] if name[0] == "." else [(relative / name).as_posix()]
        is_taken = taken(name for name in names if name[0] != ".")
        for name in sorted(names):
            if name[0] == ".":
                continue
            if is_taken(name) and (here / name).is_file():
                count += 1
                yield InputImage((relative / name).as_posix(), here / name)
            else:
                left.append((relative / name).as_posix())
    if count == 0:
        reads = f"; ipt reads {', '.join(USUAL_SUFFIXES)} and more{_packages(left)}"
        more = f", nor do its subfolders{reads}"
        if not options.recursive:
            more = reads
            more += f", and its {len(folders)} subfolders with recursive=True" if folders else ""
        raise IptError(f"{place} holds no pictures{more}")
    if note is not None and (left or folders):
        note(f"Passed over in {place}: {_passed_over(left, folders, options.recursive)}.")


def _is_passed_over(folder: Path, out: Path | None) -> bool:
    """Whether a folder is a link, which may go in a circle, or that of this run's results or an earlier one's."""
    if folder.is_symlink() or (out is not None and os.path.realpath(folder) == os.path.realpath(out)):
        return True
    return all((folder / name).is_file() for name in _RESULTS)


def _passed_over(left: list[str], folders: list[str], recursive: bool) -> str:
    parts = []
    if left:
        parts.append(f"{_counted(left, 'file')} that ipt does not read{_packages(left)}")
    if folders:
        why = "that hold results or are links" if recursive else "unless recursive=True"
        parts.append(f"{_counted(folders, 'subfolder')} {why}")
    return ", and ".join(parts)


def _packages(left: list[str]) -> str:
    """Which packages some of the files need that were passed over."""
    needed = sorted({package for name in left if (package := package_for(name))})
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
