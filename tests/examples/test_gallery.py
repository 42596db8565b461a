"""The gallery: its scripts run, and its pictures and figures are those of the scripts as they stand."""

from __future__ import annotations

import importlib.util
import runpy
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "examples" / "gallery").glob("*.py"))


@pytest.fixture(scope="module")
def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_gallery", ROOT / "docs" / "make_gallery.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs(script, tmp_path, monkeypatch, few_steps, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    with (
        Image.open(tmp_path / f"{script.stem}.jpg") as made,
        Image.open(ROOT / f"docs/gallery/{script.stem}.jpg") as kept,
    ):
        assert made.size == kept.size
    assert capsys.readouterr().out


def test_every_script_has_its_place(gallery):
    assert sorted(gallery.ORDER) == [script.stem for script in SCRIPTS] and len(SCRIPTS) >= 10


def test_the_pictures_are_of_the_scripts_as_they_stand(gallery):
    made = gallery.printed()
    stale = [name for name in gallery.ORDER if made[name]["code"] != gallery.code(name)]
    assert not stale, f"python docs/make_gallery.py {' '.join(stale)}"
    assert (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8") == gallery.page(), "python docs/make_gallery.py"
    assert all(each["seconds"] < 60 for each in made.values())


def test_the_pictures_are_small():
    assert sum(path.stat().st_size for path in (ROOT / "docs" / "gallery").iterdir()) < 2e6
