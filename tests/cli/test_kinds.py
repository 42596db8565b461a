"""Types of options: what people type and what YAML holds are read alike, and the rest is refused in words."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from ipt.cli import kinds
from ipt.folder.shards import parsed
from ipt.images.noise import Poisson


@pytest.mark.parametrize(
    ("read", "typed", "found"),
    [
        (kinds.text, "dps", "dps"),
        (kinds.whole(1), "010", 10),
        (kinds.whole(0), 0, 0),
        (kinds.whole(1, auto=True), "auto", None),
        (kinds.seconds, "1.5e3", 1500.0),
        (kinds.simulated_noise, 0, 0.0),
        (kinds.noise, "auto", None),
        (kinds.noise, ".01", 0.01),
        (kinds.noise, "poisson", Poisson()),
        (kinds.noise, "poisson:1e3", Poisson(1000.0)),
        (kinds.noise, "poisson:peak=500,read=.01", Poisson(500.0, 0.01)),
        (kinds.noise, f"{os.sep}levels.npy", Path(f"{os.sep}levels.npy")),
        (kinds.clipped, "none", "none"),
        (kinds.region, "auto", "auto"),
        (kinds.region, "3, 4,50,60", (3, 4, 50, 60)),
        (kinds.clipped, "0.9", 0.9),
        (kinds.shard, "3/64", parsed("3/64")),
        (kinds.components, "blur + downscale:2", "blur+downscale:2"),
        (kinds.specs, ["faces", "kernel=motion"], {"image": "faces", "kernel": "motion"}),
        (kinds.specs, {"kernel": "motion"}, {"kernel": "motion"}),
        (kinds.settings, {"guidance": {"scale": 0.3, "size": "1e-2"}}, {"guidance.scale": 0.3, "guidance.size": 0.01}),
        (kinds.settings, "guidance.clip=false", {"guidance.clip": False}),
        (kinds.values, ["network.width=032"], {"network.width": 32}),
    ],
)
def test_what_is_read(read, typed, found):
    assert read(typed) == found and type(read(typed)) is type(found)


@pytest.mark.parametrize(
    ("read", "typed", "said"),
    [
        (kinds.text, "", "give a name, not ''"),
        (kinds.text, 3, "give a name, not 3"),
        (kinds.whole(1), "0", "give a whole number from 1 up, not '0'"),
        (kinds.whole(1), True, "give a whole number from 1 up, not True"),
        (kinds.whole(1, auto=True), "1.5", "give auto, or a whole number from 1 up"),
        (kinds.noise, "0", "give auto, or a standard deviation above 0"),
        (kinds.noise, "poisson:0", "poisson:PEAK"),
        (kinds.noise, "poisson:read=.01", "poisson:PEAK"),
        (kinds.noise, "poisson:loud", "a number from 0 up as peak"),
        (kinds.noise, "nan", "give auto, or a standard deviation"),
        (kinds.simulated_noise, "auto", "give a standard deviation from 0 up (of pictures in 0..1), or poisson:PEAK"),
        (kinds.simulated_noise, "-1", "give a standard deviation from 0 up"),
        (kinds.seconds, "-1", "a number of seconds from 0 up"),
        (kinds.clipped, "0", "a value above 0 and at most 1"),
        (kinds.region, "3,4,50", "X,Y,WIDTH,HEIGHT"),
        (kinds.region, "a,b,c,d", "X,Y,WIDTH,HEIGHT"),
        (kinds.region, 3, "X,Y,WIDTH,HEIGHT"),
        (kinds.shard, "0/4", "give K/N with K from 1 to N"),
        (kinds.specs, 3, "give names and values, as in kernel=NAME"),
        (kinds.settings, "guidance.scale", "give NAME=VALUE, as in guidance.scale=.3"),
        (kinds.settings, ["a.b=1", "a.b=2"], "'a.b' is given twice; drop one"),
        (kinds.paths, {"kernel": 3}, "give text for 'kernel', as in kernel=kernel.npy"),
    ],
)
def test_what_is_refused(read, typed, said):
    with pytest.raises(click.BadParameter) as caught:
        read(typed)
    assert said in caught.value.message


def test_paths_are_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "kernel.npy").touch()
    assert kinds.path("a/b.png") == tmp_path / "a" / "b.png" and kinds.path("~") == Path.home()
    assert kinds.paths("kernel=kernel.npy") == {"kernel": tmp_path / "kernel.npy"}
    # What looks like a path and is there becomes absolute, so that a YAML file means the same anywhere.
    assert kinds.settings("operator.file=kernel.npy") == {"operator.file": str(tmp_path / "kernel.npy")}
    assert kinds.components(f"network:.{os.sep}weights") == f"network:{tmp_path / 'weights'}"
    assert kinds.components("weights") == "weights" and kinds.values("a.b=kernel.npy") == {"a.b": "kernel.npy"}
