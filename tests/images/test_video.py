"""Video files: frames that come back, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from ipt import extras
from ipt.core.errors import IptError, Lacking
from ipt.images.files import Picture
from ipt.images.video import Clip, frame_shape, is_video, write_video

RATE = Fraction(30000, 1001)


def _frames(count: int, height: int = 24, width: int = 34) -> list[Picture]:
    generator = torch.Generator().manual_seed(1)
    return [Picture(torch.rand(3, height, width, generator=generator)) for _ in range(count)]


def test_frames_come_back_as_they_were_at_the_same_rate(tmp_path):
    pytest.importorskip("av")
    frames = _frames(5)
    write_video(tmp_path / "a.mkv", RATE, iter(frames))
    clip = Clip.of(tmp_path / "a.mkv")
    assert (clip.rate, clip.count, clip.shape) == (RATE, 5, (3, 24, 34)) and frame_shape(clip.path) == clip.shape
    for found, frame in zip(clip.frames(1, 4), frames[1:4], strict=True):
        torch.testing.assert_close(found.pixels, (255 * frame.pixels).round() / 255)


def test_a_common_player_takes_the_other_kind(tmp_path):
    av = pytest.importorskip("av")
    smooth = torch.linspace(0, 1, 35).expand(3, 25, 35)
    write_video(tmp_path / "a.mp4", RATE, [Picture(smooth)] * 3)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", RATE)
    clip = Clip.of(tmp_path / "a.mp4")
    assert clip.count == 3 and clip.shape == (3, 24, 34)
    assert (next(clip.frames()).pixels - smooth[:, :24, :34]).abs().max() < 0.03


def test_what_is_no_video_is_refused(tmp_path):
    pytest.importorskip("av")
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    with pytest.raises(IptError, match=r"a\.mp4 cannot be read as video"):
        Clip.of(tmp_path / "a.mp4")
    write_video(tmp_path / "b.mkv", RATE, _frames(1))
    assert is_video(tmp_path / "b.MKV") and not is_video(tmp_path / "b.png")


def test_without_the_package_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    with pytest.raises(Lacking, match="pip install av"):
        Clip.of(tmp_path / "a.mp4")
