"""Video files from and to frames, one at a time, by PyAV (the package av, extra `video`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ipt.core.errors import IptError
from ipt.extras import imported
from ipt.images.atomic import atomic
from ipt.images.files import Picture

SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
LOSSLESS = ".mkv"
"""Suffix of files that are written without loss."""
_QUALITY = "14"
"""x264's constant rate factor: losses are hardly visible, and files a tenth of the lossless size."""


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one of video, by its name."""
    return Path(path).suffix.lower() in SUFFIXES


@dataclass(frozen=True)
class Clip:
    """A video file.

    Attributes:
        path: of the file.
        rate: frames per second.
        shape: (C, H, W) of a frame; C = 1 if the file is grey.
        count: number of frames.
    """

    path: Path
    rate: Fraction
    shape: tuple[int, int, int]
    count: int

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Clip:
        """Open a video file, and decode it once to count its frames.

        Raises:
            IptError: the file cannot be read, or has no frames.
            Lacking: PyAV is not installed.
        """
        place, rate, count, shape = Path(path), Fraction(25), 0, (0, 0, 0)
        for frame, each in _decoded(place):
            rate, count, shape = each, count + 1, _shape(frame)
        if not count:
            raise IptError(f"{place} has no frames; give a video, or a folder of exposures with frames=True")
        return cls(place, rate, shape, count)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Picture]:
        """Its frames from `start` to before `stop`, one at a time."""
        grey = self.shape[0] == 1
        for frame, _ in islice(_decoded(self.path), start, stop):
            values = torch.from_numpy(frame.to_ndarray(format="gray" if grey else "rgb24"))
            pixels = values[None] if grey else values.permute(2, 0, 1)
            yield Picture(pixels.float() / 255, source=f"video {frame.format.name}")


def frame_shape(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """(C, H, W) of a video's frames.

    Raises:
        IptError: the file cannot be read, or has no frames.
        Lacking: PyAV is not installed.
    """
    first = next(_decoded(Path(path)), None)
    if first is None:
        raise IptError(f"{path} has no frames")
    return _shape(first[0])


def write_video(path: Path, rate: Fraction, frames: Iterable[Picture]) -> None:
    """Write frames of one size: without loss to .mkv (FFV1), else by x264, without an odd last row or column.

    Raises:
        IptError: the file cannot be written.
        Lacking: PyAV is not installed.
    """
    opened, errors = imported("av", "open"), imported("av", "FFmpegError")
    picture = imported("av", "VideoFrame")
    lossless = path.suffix.lower() == LOSSLESS
    try:
        with atomic(path) as file, opened(file, "w", format="matroska" if lossless else "mp4") as container:
            stream: Any = None
            for one in frames:
                even = one.pixels if lossless else one.pixels[:, : one.shape[1] // 2 * 2, : one.shape[2] // 2 * 2]
                colour = even.expand(3, -1, -1) if len(even) == 1 else even
                values = (255 * colour.clamp(0, 1)).round().byte().permute(1, 2, 0).contiguous().numpy()
                if stream is None:
                    stream = container.add_stream("ffv1" if lossless else "libx264", rate=rate)
                    stream.height, stream.width = values.shape[:2]
                    stream.pix_fmt = "bgr0" if lossless else "yuv420p"
                    if not lossless:
                        stream.options = {"crf": _QUALITY}
                container.mux(stream.encode(picture.from_ndarray(values, format="rgb24")))
            if stream is not None:
                container.mux(stream.encode())
    except errors as error:
        raise IptError(f"{path} cannot be written ({error}); choose another folder (out=)") from error


def _shape(frame: Any) -> tuple[int, int, int]:
    return 1 if frame.format.name.startswith("gray") else 3, frame.height, frame.width


def _decoded(path: Path) -> Iterator[tuple[Any, Fraction]]:
    """PyAV's frames of a video, each with the rate."""
    opened, errors = imported("av", "open"), imported("av", "FFmpegError")
    try:
        with opened(str(path)) as container:
            if not container.streams.video:
                raise IptError(f"{path} has no video stream; give another file")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = Fraction(stream.average_rate or 25)
            for frame in container.decode(stream):
                yield frame, rate
    except errors as error:
        raise IptError(f"{path} cannot be read as video ({error}); check that it plays") from error
