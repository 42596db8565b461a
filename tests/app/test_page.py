"""The page in Debian's Chromium: a real server, real pointer and keys, and no address but the server's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

pytest.importorskip("nicegui", reason="the extra `app` is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt install chromium)")

PLUGIN = '''
import ipt

class Dimmer(ipt.ParametricOperator):
    """Less light.

    Args:
        share: of the light that is left.
    """

    def __init__(self, share: float = 0.5):
        self.share = share

    def parameters(self, image_shape):
        return {}

    def forward(self, image):
        return self.share * image

@ipt.hookimpl
def ipt_operators():
    yield ipt.Component("dimmer", Dimmer, "less light")
'''


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a plugin."""
    site = tmp_path_factory.mktemp("site")
    (site / "dimmer.py").write_text(PLUGIN)
    (site / "dimmer-1.dist-info").mkdir()
    (site / "dimmer-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: dimmer\nVersion: 1\n")
    (site / "dimmer-1.dist-info" / "entry_points.txt").write_text("[ipt]\ndimmer = dimmer\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "IPT_PLUGINS": "dimmer", "MPLCONFIGDIR": str(site)}
    command = [sys.executable, "-m", "ipt", "app", "--port", str(port), "--no-browser"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as server:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert server.poll() is None, server.stderr and server.stderr.read()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
        server.terminate()
        # But where the page is, nothing is said.
        assert server.communicate()[1].splitlines() == [f"The page is at http://127.0.0.1:{port}; Ctrl-C ends it."]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:
    """The page, quick to solve: two steps and a Gaussian prior. It must ask nobody else, and complain of nothing."""
    page = chromium.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(60_000)
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(address)
    page.get_by_text("More", exact=True).click()
    for label, value in (("Steps", "2"), ("while likely wrong", "1"), ("Noise", "0.02")):
        page.get_by_label(label).fill(value)
    prior = page.get_by_label("What pictures are like")
    prior.fill("gaussian")
    prior.press("Enter")
    yield page
    page.close()
    assert not wrong
    assert {
        url for url in asked if not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))
    } == set()


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    path = tmp_path / "a face #1.png"
    Image.fromarray(data.astronaut()[60:184, 163:287]).resize((48, 40)).save(path)
    return path


def drop(page: Any, *paths: Path) -> None:
    page.set_input_files("input[type=file]", list(paths))
    page.locator(".shelf .q-img").nth(len(paths) - 1).wait_for()


def solve(page: Any) -> None:
    page.get_by_role("button", name="Start").click()
    page.locator(".compare").wait_for()


def drag(page: Any, tool: str, start: tuple[float, float], stop: tuple[float, float]) -> None:
    """Draw on the picture with a tool, in shares of its sides."""
    page.get_by_role("button", name=tool).click()
    page.locator(".marking img").scroll_into_view_if_needed()
    box = page.locator(".marking img").bounding_box()
    for number, (x, y) in enumerate((start, stop)):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=5)
        page.mouse.down() if number == 0 else page.mouse.up()


def saved(page: Any, button: str, into: Path) -> Path:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    path = into / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_picture_is_solved_compared_drawn_again_and_saved(page, photograph, tmp_path):
    drop(page, photograph)
    page.get_by_label("all shown").fill("2")
    solve(page)
    assert "residual" in page.locator(".verdict").inner_text()
    before, slider = page.locator(".compare .before"), page.locator(".compare input")
    clip = "element => getComputedStyle(element).clipPath"
    assert "50%" in before.evaluate(clip)
    slider.focus()
    slider.press("ArrowRight")
    assert "49%" in before.evaluate(clip)
    sizes = page.locator("figure img, .compare img").evaluate_all("all => all.map(one => one.naturalWidth)")
    assert len(sizes) == 2 + 2 + 3 and min(sizes) > 0
    # The mean of both, and each; another is chosen, and is what is saved.
    mean = np.asarray(Image.open(saved(page, "Save picture", tmp_path)))
    page.locator(".draws figure").nth(2).click()
    page.locator(".draws > .chosen", has_text="draw 2").wait_for()
    draw = np.asarray(Image.open(saved(page, "Save picture", tmp_path)))
    assert mean.shape == draw.shape == (40, 48, 3) and not np.array_equal(mean, draw)
    page.get_by_role("button", name="Another draw").click()
    page.locator(".draws figure").nth(5).wait_for()
    assert page.get_by_label("Seed").input_value() == "1"
    report = saved(page, "Save report", tmp_path).read_text(encoding="utf-8")
    assert "a face #1-1" in report and "a face #1-2" in report
    # Where nothing is marked, the region of a large picture is chosen as by the command.
    assert ">region</th><td>auto</td>" in report


def test_a_region_and_a_mask_reach_the_solve(page, photograph, tmp_path):
    drop(page, photograph)
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("kernel size").fill("5")
    drag(page, "Mark a region", (0.25, 0.2), (0.75, 0.8))
    drag(page, "Paint what not to trust", (0.1, 0.9), (0.9, 0.9))
    page.locator(".marking polyline").wait_for(state="attached")
    solve(page)
    report = saved(page, "Save report", tmp_path).read_text(encoding="utf-8")
    assert "<td>12,8,24,24</td>" in report
    assert "was not trusted" in report
    page.get_by_role("button", name="Clear").click()
    page.locator(".marking rect").wait_for(state="detached")


def test_the_options_of_a_plugin_s_operator_are_there(page, photograph, tmp_path):
    drop(page, photograph)
    operator = page.get_by_label("What degraded it")
    operator.fill("dimmer")
    operator.press("Enter")
    page.get_by_text("Options", exact=True).click()
    field = page.get_by_label("share")
    assert field.get_attribute("placeholder") == "0.5"
    page.get_by_text("of the light that is left.").wait_for()
    field.fill("0.8")
    solve(page)
    found = np.asarray(Image.open(saved(page, "Save picture", tmp_path))).astype(float)
    assert np.median(found / np.maximum(np.asarray(Image.open(photograph)), 1)) == pytest.approx(1 / 0.8, abs=0.1)


def test_several_pictures_are_solved_each_or_as_one_burst(page, photograph, tmp_path):
    other = tmp_path / "other" / photograph.name
    other.parent.mkdir()
    Image.open(photograph).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(other)
    drop(page, photograph, other)
    # Of the same name, and yet two.
    assert len(set(page.locator(".shelf img").evaluate_all("all => all.map(one => one.src)"))) == 2
    solve(page)
    page.get_by_role("button", name="Stop").wait_for(state="hidden")
    report = saved(page, "Save report", tmp_path).read_text(encoding="utf-8")
    assert {"a face #1-1", "a face #1-2"} <= set(report.split('"'))
    page.get_by_text("They are exposures of one scene").click()
    page.get_by_role("button", name="Start").click()
    page.locator(".draws figure").nth(1).wait_for()
    page.get_by_role("button", name="Stop").wait_for(state="hidden")
    assert "2 frames" in saved(page, "Save report", tmp_path).read_text(encoding="utf-8")


def test_an_error_is_a_message_and_the_page_goes_on(page, photograph, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(photograph.read_bytes()[:200])
    page.set_input_files("input[type=file]", [broken])
    page.locator("[role=alert]", has_text="broken.png").wait_for()
    assert "/" not in page.locator("[role=alert]").inner_text()
    page.get_by_role("button", name="Close").click()
    drop(page, photograph)
    drag(page, "Mark a region", (0.5, 0.5), (0.6, 0.6))
    page.get_by_role("button", name="Start").click()
    message = page.locator("[role=alert]", has_text="too small").inner_text()
    assert "give region at least" in message and "region=" not in message
    page.get_by_role("button", name="Clear").click()
    solve(page)


def test_a_solve_shows_how_far_it_is_and_stops(page, photograph, tmp_path):
    drop(page, shutil.copy(photograph, tmp_path / "b.png"))
    drop(page, photograph)
    # By name, whichever came first.
    page.locator(".shelf .q-img").nth(1).wait_for()
    assert "chosen" in page.locator(".shelf .q-img").nth(0).get_attribute("class")
    page.get_by_label("Steps").fill("5000")
    page.get_by_role("button", name="Start").click()
    page.locator("[role=status]", has_text="of 5000").wait_for()
    # A new preview takes the place of the last at once: the picture does not fade in and out.
    page.locator("section .q-img__image--without-transition").first.wait_for()
    assert not page.locator("section .q-img__image--with-transition").count()
    page.locator("button[disabled]", has_text="Start").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator(".marking img").wait_for()
    page.locator("button:not([disabled])", has_text="Start").wait_for()
    assert not page.locator(".compare").count()


def test_it_fits_a_narrow_screen(page, photograph):
    drop(page, photograph)
    page.set_viewport_size({"width": 390, "height": 800})
    solve(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
