"""The report in headless Chromium: a script in a copy of the page tries it and writes down what it saw."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import torch

from ipt.images.files import Picture
from ipt.runs.outputs import ImageResult, write_failure, write_result
from ipt.runs.report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt install chromium)")

WATCH = """<script>
"use strict";
window.problems = [];
addEventListener("error", function (event) { problems.push("error: " + event.message); }, true);
addEventListener("securitypolicyviolation", function (event) { problems.push("blocked: " + event.blockedURI); });
console.error = console.warn = function (text) { problems.push("console: " + text); };
</script>"""

TRY = """<script>
"use strict";
addEventListener("load", function () { setTimeout(function () {
  const seen = {};
  const names = function () { return Array.from(document.querySelectorAll(".summary tbody tr")).map(function (row) { return row.cells[1].textContent; }); };
  const press = function (key) { document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: key, bubbles: true, cancelable: true })); };
  const slider = document.querySelector(".compare input"), before = document.querySelector(".compare .before");
  seen.clip = [getComputedStyle(before).clipPath];
  slider.focus();
  seen.focus = document.activeElement === slider;
  slider.stepUp(30);
  slider.dispatchEvent(new Event("input"));
  seen.clip.push(getComputedStyle(before).clipPath);
  seen.order = [names()];
  Array.from(document.querySelectorAll(".summary button")).forEach(function (button) {
    if (button.textContent !== "PSNR dB") { return; }
    button.click(); seen.order.push(names());
    button.click(); seen.order.push(names());
    seen.sort = button.parentElement.getAttribute("aria-sort");
  });
  const row = function () { return document.activeElement.closest("tr").cells[1].textContent; };
  const stops = document.querySelectorAll(".summary tbody tr[tabindex='0']");
  seen.stops = stops.length;
  stops[0].focus();
  seen.rows = [row()];
  ["Home", "ArrowDown", "ArrowDown", "ArrowUp", "End", "ArrowDown"].forEach(function (key) { press(key); seen.rows.push(row()); });
  press("Enter");
  seen.place = location.hash;
  seen.requests = performance.getEntriesByType("resource").map(function (entry) { return entry.name; }).filter(function (name) { return !name.startsWith("data:"); });
  const images = Array.from(document.images);
  images.forEach(function (image) { image.loading = "eager"; });
  Promise.all(images.map(function (image) { return image.decode(); })).then(function () { seen.decoded = images.length; }, function (error) { problems.push(String(error)); }).then(function () {
    seen.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    seen.problems = problems;
    const said = document.createElement("pre");
    said.id = "seen";
    said.textContent = JSON.stringify(seen);
    document.body.appendChild(said);
  });
}, 0); });
</script>"""


def tried(folder: Path, width: int = 1200, more: str = "") -> dict[str, Any]:
    """What the scripts saw of the folder's page, at a window's width; more: HTML that a worse page would have."""
    page = (folder / "report.html").read_text(encoding="utf-8")
    copy = folder / "copy.html"
    copy.write_text(page.replace("<title>", WATCH + "<title>").replace("</body>", more + TRY + "</body>"))
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
    options += [f"--user-data-dir={folder / 'profile'}", f"--window-size={width},800", "--virtual-time-budget=5000"]
    run = subprocess.run(
        [CHROMIUM, *options, "--enable-logging=stderr", "--dump-dom", copy.as_uri()],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="seen">(.*?)</pre>', run.stdout, re.DOTALL)
    assert found is not None, run.stderr[-2000:]
    lines = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    return {**json.loads(unescape(found[1])), "console": lines}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    numbers = torch.Generator().manual_seed(0)
    for stem, psnr in (("a", 22.0), ("b", 9.5), ("c", 31.0), ("d", None)):
        picture = torch.rand(3, 40, 40, generator=numbers)
        metrics = {} if psnr is None else {"psnr": psnr}
        result = ImageResult(
            picture=Picture(picture),
            measurement=Picture(picture / 2),
            parameters={"kernel": torch.rand(1, 5, 7, generator=numbers)},
            residual=torch.full((3, 40, 40), 0.011),
            noise=0.01,
            trace=[0.5, 0.1, 0.011],
            record={"metrics": metrics, "seconds": 1.0, "options": {"steps": {"value": "x" * 90, "from": "config"}}},
        )
        write_result(tmp_path, stem, result)
    write_failure(tmp_path, "broken", "it is cut short; copy it again")
    write_report(tmp_path)
    return tmp_path


def test_it_works_by_mouse_and_by_keyboard(folder: Path) -> None:
    seen = tried(folder)
    first, second = (re.findall(r"[\d.]+%", clip) for clip in seen["clip"])
    assert first == ["50%"] and second == ["20%"] and seen["focus"]
    assert seen["order"] == [["a", "b", "c", "d"], ["b", "a", "c", "d"], ["c", "a", "b", "d"]]
    assert seen["sort"] == "descending"
    assert seen["stops"] == 1 and seen["rows"][1:] == ["c", "a", "b", "a", "d", "d"]
    assert seen["place"] == "#picture-d"
    assert seen["decoded"] == 4 * 5 and not seen["requests"] and not seen["problems"] and not seen["console"]
    assert seen["wide"] == 0


def test_it_fits_a_phone(folder: Path) -> None:
    seen = tried(folder, width=500)
    assert seen["wide"] == 0 and not seen["problems"]


def test_a_request_would_be_seen_and_is_forbidden(folder: Path) -> None:
    seen = tried(folder, more='<img src="http://127.0.0.1:9/x.png" alt=""><script>nothing();</script>')
    assert any(problem.startswith("blocked: http://127.0.0.1:9/x.png") for problem in seen["problems"])
    assert any("nothing is not defined" in problem for problem in seen["problems"]) and seen["console"]
