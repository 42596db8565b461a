"""A video, solved in overlapping windows of frames: a picture of its middle, and a restored video of the same rate.

Each window is a series of exposures of one scene and makes one picture, which is kept on disk until the video is
complete, so that a killed run continues with the next window. A frame of the restored video is the weighted mean of the
pictures of its windows; weights decrease linearly from a window's middle. Only one window's frames are in memory.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch

from ipt.core.errors import IptError, Misuse
from ipt.folder.inputs import InputImage
from ipt.folder.pipeline import Pipeline
from ipt.images import files
from ipt.images.files import Picture
from ipt.images.names import beginning
from ipt.images.outcomes import Outcome, ProgressListener
from ipt.images.video import Clip, write_video
from ipt.solve.batches import solve_tasks
from ipt.solve.masks import read_mask
from ipt.solve.outputs import write_result
from ipt.solve.prepare import ImageTask, prepare
from ipt.solve.result import ImageResult, image_result
from ipt.solve.sizer import BatchSizer

Window = range
"""Numbers of the frames that are solved together."""


def windows_of(count: int, size: int) -> list[Window]:
    """Windows of `size` frames (or of all, if there are fewer), half a window apart, that cover `count` frames."""
    size = min(size, count)
    last = count - size
    starts = [*range(0, last, max(1, size // 2)), last]
    return [range(start, start + size) for start in starts]


def share(window: Window, frame: int) -> float:
    """The weight of a window's picture in one of its frames, before normalization."""
    middle = (window.start + window.stop - 1) / 2
    return len(window) / 2 + 0.5 - abs(frame - middle)


def solve_video(
    pipeline: Pipeline, image: InputImage, sizer: BatchSizer, listener: ProgressListener, again: bool = False
) -> Outcome:
    """Solve a video and write its results.

    Args:
        pipeline: of the run.
        image: the video.
        sizer: says how many draws are solved together.
        listener: gets the progress.
        again: solve it even if its results exist.
    """
    try:
        named = pipeline.identity(image)
        if not again and (record := pipeline.finished(image, named)):
            return Outcome(image.name, "skipped", record)
        return _solve(pipeline, image, named, sizer, listener)
    except Exception as error:
        return pipeline.failed(image, error)


def _solve(pipeline: Pipeline, image: InputImage, named: str, sizer: BatchSizer, listener: ProgressListener) -> Outcome:
    assert image.path is not None
    if pipeline.options.reference:
        raise Misuse("a video is compared with no reference; drop reference=, or give its frames as a folder")
    started, clip = time.perf_counter(), Clip.of(image.path)
    if clip.count < 2:
        raise IptError(f"{image.path} has one frame; give a video, or the frame as a picture")
    windows = windows_of(clip.count, pipeline.options.window)
    middle = windows[len(windows) // 2]
    pictures = pipeline.out / ".state" / f"{beginning(image.stem)}.{named[:16]}"
    pictures.mkdir(parents=True, exist_ok=True)
    unsolved = [window for window in windows if window != middle and not _place(pictures, window).exists()]

    def solve_window(window: Window, frames: Sequence[Picture], number: int) -> ImageResult:
        name = f"{image.name}, frames {window.start + 1} to {window.stop} of {clip.count}"
        listener.begin(name, number, len(windows))
        result = _window_result(pipeline, image, frames, sizer, listener)
        files.write(_place(pictures, window), replace(result.picture, depth=16))
        return result

    for number, (window, frames) in enumerate(_with_frames(clip, unsolved), len(windows) - len(unsolved)):
        solve_window(window, frames, number)
    # The middle one comes last, since its result is that of the video.
    result = solve_window(middle, list(clip.frames(middle.start, middle.stop)), len(windows))
    video = f"{image.stem}.video.mp4"
    write_video(pipeline.out / video, clip.rate, _blended(pictures, windows, clip.count))
    of_video = {
        "file": video,
        "frames": clip.count,
        "rate": str(clip.rate),
        "window": len(middle),
        "windows": len(windows),
        "picture_of": [middle.start + 1, middle.stop],
    }
    of_run = {**pipeline.record(image, named), "input": image.name, "seconds": time.perf_counter() - started}
    record = {**result.record, **of_run, "video": of_video}
    path = write_result(pipeline.out, image.stem, replace(result, record=record))
    shutil.rmtree(pictures, ignore_errors=True)
    return Outcome(image.name, "done", json.loads(path.read_text(encoding="utf-8")))


def _window_result(
    pipeline: Pipeline, image: InputImage, frames: Sequence[Picture], sizer: BatchSizer, listener: ProgressListener
) -> ImageResult:
    """The result of a window; all windows are solved with the same seeds."""
    options, started = pipeline.options, time.perf_counter()
    mask = None if options.mask is None else read_mask(options.mask, (frames[0].shape[1], frames[0].shape[2]))
    task = ImageTask.of(options, frames, image.name, pipeline.known, None, mask)
    prepared = prepare(pipeline.solvers.solver_for(image.name, image.shape), task, pipeline.device)
    (solution,) = solve_tasks([prepared.sampling], sizer, listener.step)
    return image_result(prepared, solution, time.perf_counter() - started)


def _with_frames(clip: Clip, windows: Sequence[Window]) -> Iterator[tuple[Window, list[Picture]]]:
    """Windows with their frames, from one pass over the video."""
    held: deque[Picture] = deque()
    source, first = clip.frames(), 0
    for window in windows:
        while first < window.start:
            if held:
                held.popleft()
            else:
                next(source)
            first += 1
        while len(held) < len(window):
            held.append(next(source))
        yield window, list(held)


def _blended(pictures: Path, windows: Sequence[Window], count: int) -> Iterator[Picture]:
    """The frames of the restored video."""
    read = lru_cache(maxsize=4)(lambda window: files.read(_place(pictures, window)))
    for frame in range(count):
        own = [window for window in windows if frame in window]
        shares = torch.tensor([share(window, frame) for window in own])
        stack = torch.stack([read(window).pixels for window in own])
        yield read(own[0]).with_pixels(torch.tensordot(shares / shares.sum(), stack, 1))


def _place(pictures: Path, window: Window) -> Path:
    return pictures / f"{window.start:06}.png"
