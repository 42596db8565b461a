"""A slice of `benchmarks/mutated_inputs.py`: damaged inputs end in a message or in a whole, right result."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "mutated_inputs.py"
pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="a source distribution has no benchmarks/")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("mutated_inputs", SCRIPT)
    module = sys.modules["mutated_inputs"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["mutated_inputs"]


def test_damaged_inputs_do_no_harm(script, tmp_path):
    sandbox = script.Sandbox(tmp_path)
    ends = [(case, *sandbox.run(case)) for case in script.cases(70, seed=12)]
    assert [(number, case.name, fault) for number, (case, _, fault) in enumerate(ends) if fault] == []
    assert {how for _, how, _ in ends} == {"taken", "refused"} and len({case.kind for case, _, _ in ends}) == 7


def test_sound_inputs_are_taken(script, tmp_path):
    sandbox, sound = script.Sandbox(tmp_path), script.sound_files()
    for name in ("tiff 16 planar", "png palette", "jpeg", "webp", "npy", "yaml", "safetensors"):
        assert sandbox.run(script.Case(name.split()[0], name, sound[name], sound[name])) == ("taken", ""), name


def test_it_tells_a_wrong_picture_and_what_is_left_behind(script, tmp_path, monkeypatch):
    from ipt.images import files

    sandbox, sound = script.Sandbox(tmp_path), script.sound_files()["png 8"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "half.png").touch()
    monkeypatch.setattr(sandbox, "_solved", lambda arguments: (1, "Error: no"))
    assert sandbox.run(script.Case("png", "png 8", sound, sound))[1].startswith("left behind")
    monkeypatch.undo()
    darker = files.decode(sound, "a.png")
    monkeypatch.setattr(files, "read", lambda path: darker.with_pixels(0.5 * darker.pixels))
    assert "another picture" in script._wrong(script.Case("png", "png 8", sound, sound), tmp_path / "case.png")
    first, again = (script.damaged(sound, np.random.default_rng(3)) for _ in range(2))
    assert first == again != sound
