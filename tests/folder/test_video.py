"""A video is solved in windows, goes on after a kill, and holds no more than a window."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from ipt.cli.main import cli
from ipt.folder import video
from ipt.folder.video import share, windows_of
from ipt.images import files
from ipt.images.files import Picture
from ipt.images.video import Clip, write_video

SOLVE = ("--operator", "turbulence", "--set", "operator.kernel_size=3", "--prior", "gaussian", "--steps", 2)
RATE = Fraction(12)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Nine frames that become brighter."""
    pytest.importorskip("av")
    scene = torch.rand(3, 16, 20, generator=torch.Generator().manual_seed(1))
    frames = [Picture(scene * (0.4 + 0.05 * number)) for number in range(9)]
    write_video(tmp_path / "clip.mkv", RATE, frames)
    return tmp_path / "clip.mkv"


@pytest.mark.parametrize(("count", "size"), [(9, 4), (10, 10), (7, 10), (11, 5), (2, 2), (100, 10)])
def test_windows_hold_every_frame_and_overlap(count, size):
    windows = windows_of(count, size)
    assert set().union(*windows) == set(range(count)) and {len(window) for window in windows} == {min(size, count)}
    assert all(later.start < window.stop for window, later in itertools.pairwise(windows))
    assert all(share(window, frame) > 0 for window in windows for frame in window)
    assert share(range(4), 1) == share(range(4), 2) > share(range(4), 3)


def test_a_clip_becomes_a_picture_and_a_clip_of_the_same_rate(clip, tmp_path):
    out = tmp_path / "out"
    result = run("solve", clip, "-o", out, *SOLVE, "--window", 4, "--json")
    assert result.exit_code == 0, result.stderr
    restored = Clip.of(out / "clip.video.mp4")
    assert (restored.count, restored.rate, restored.shape) == (9, RATE, (3, 16, 20))
    means = [float(frame.pixels.mean()) for frame in restored.frames()]
    assert means == sorted(means) and means[-1] > 1.3 * means[0]
    (record,) = json.loads(result.stdout)["images"]
    expected = {"file": "clip.video.mp4", "frames": 9, "rate": "12", "window": 4, "windows": 4, "picture_of": [5, 8]}
    assert record["video"] == expected and record["frames"] == 4
    middle = files.read(out / "clip.png").pixels.mean()
    assert means[0] < middle < means[-1]
    assert not list((out / ".state").iterdir())
    assert "done before" in run("solve", clip, "-o", out, *SOLVE, "--window", 4).stderr
    assert "--force" in run("solve", clip, "-o", out, *SOLVE, "--window", 3).stderr


def test_a_killed_run_goes_on_at_its_window(clip, tmp_path, monkeypatch):
    whole, out, solved = tmp_path / "whole", tmp_path / "out", []
    assert run("solve", clip, "-o", whole, *SOLVE, "--window", 4).exit_code == 0
    solve_window = video._window_result

    def counted(*arguments):
        solved.append(len(arguments[2]))
        if len(solved) == 3:
            raise KeyboardInterrupt
        return solve_window(*arguments)

    monkeypatch.setattr(video, "_window_result", counted)
    assert run("solve", clip, "-o", out, *SOLVE, "--window", 4).exit_code != 0
    assert not (out / "clip.json").exists() and solved == [4, 4, 4]
    assert run("solve", clip, "-o", out, *SOLVE, "--window", 4).exit_code == 0
    assert len(solved) == 3 + 2
    assert (out / "clip.png").read_bytes() == (whole / "clip.png").read_bytes()
    frames = zip(Clip.of(out / "clip.video.mp4").frames(), Clip.of(whole / "clip.video.mp4").frames(), strict=True)
    assert all(torch.equal(one.pixels, other.pixels) for one, other in frames)


def test_no_more_than_a_window_is_held(clip, monkeypatch):
    alive = set()

    class Counted(Picture):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            alive.add(id(self))
            assert len(alive) <= 4

        def __del__(self):
            alive.discard(id(self))

    opened = Clip.of(clip)
    monkeypatch.setattr(Clip, "frames", lambda self: (Counted(torch.zeros(1, 8, 8)) for _ in range(self.count)))
    seen = []
    for window, frames in video._with_frames(opened, windows_of(9, 3)):
        seen.append((window.start, len(frames)))
        del frames
    assert seen == [(start, 3) for start in range(7)]


def test_what_a_video_cannot_have_is_refused(clip, tmp_path):
    refused = run("solve", clip, "-o", tmp_path / "out", *SOLVE, "--reference", clip)
    assert refused.exit_code == 2 and "compared with no reference" in refused.stderr
    write_video(tmp_path / "one.mkv", RATE, [Picture(torch.rand(3, 16, 20))])
    refused = run("solve", tmp_path / "one.mkv", "-o", tmp_path / "out", *SOLVE)
    assert refused.exit_code == 1 and "has one frame" in refused.stderr
