"""The report in headless Chromium, with real clicks and keys, watched through its debugging pipe."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ipt.images.files import Picture
from ipt.report.report import write_report
from ipt.solve.outputs import write_failure, write_result
from ipt.solve.result import ImageResult

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here (Debian: apt install chromium)")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
KEYS = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
# Reading the end that Chromium writes to, and the other way round.
READ, WRITE = 3, 4


class Browser:
    """A page, and what it complained of or asked for. The protocol: messages of JSON, each ended by a zero byte."""

    def __init__(self, profile: Path):
        theirs_in, self._to = (high(fd) for fd in os.pipe())
        ours, theirs_out = (high(fd) for fd in os.pipe())

        def connect() -> None:
            os.dup2(theirs_in, READ)
            os.dup2(theirs_out, WRITE)

        command = [str(CHROMIUM), *OPTIONS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        self._process = subprocess.Popen(command, preexec_fn=connect, close_fds=False, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self._from = os.fdopen(ours, "rb")
        self._guard = threading.Timer(120, self._process.kill)
        self._guard.start()
        self._session: dict[str, str] = {}
        self._count, self._buffer = 0, b""
        self._events: list[dict[str, Any]] = []
        page = next(target for target in self.call("Target.getTargets")["targetInfos"] if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self._guard.cancel()
        self._process.kill()
        self._process.wait()
        self._from.close()
        os.close(self._to)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        os.write(
            self._to, json.dumps({"id": self._count, "method": method, "params": params, **self._session}).encode()
        )
        os.write(self._to, b"\0")
        while True:
            message = self._next()
            if message.get("id") == self._count:
                assert "error" not in message, message
                return message["result"]
            self._events.append(message)

    def open(self, page: Path, width: int = 1200) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=page.as_uri())
        while not self._seen("Page.loadEventFired"):
            self._events.append(self._next())

    def value(self, script: str) -> Any:
        """Of an expression, or of what it promises."""
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, *keys: str) -> None:
        for key in keys:
            for kind in ("keyDown", "keyUp"):
                text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
                self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=KEYS[key], **text)

    def mouse(self, kind: str, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def complaints(self) -> list[str]:
        """Errors, warnings and policies broken, as the console has them; and every request but for the page itself."""
        self.value("new Promise(function (done) { setTimeout(done, 100); })")
        errors = [str(event["params"]) for event in self._seen("Runtime.exceptionThrown", "Runtime.consoleAPICalled")]
        errors += [event["params"]["entry"]["text"] for event in self._seen("Log.entryAdded")]
        asked = [event["params"]["request"]["url"] for event in self._seen("Network.requestWillBeSent")]
        return errors + [url for url in asked if not url.startswith("data:") and not url.endswith("report.html")]

    def _seen(self, *methods: str) -> list[dict[str, Any]]:
        return [event for event in self._events if event.get("method") in methods]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = os.read(self._from.fileno(), 1 << 20)
            assert more, "Chromium ended"
            self._buffer += more
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)


def high(fd: int) -> int:
    """The same file under a number that the child's own (3 and 4) are not."""
    raised = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return raised


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture
def page(tmp_path: Path) -> Path:
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
    return write_report(tmp_path)


NAMES = (
    'Array.from(document.querySelectorAll(".summary tbody tr"), function (row) { return row.cells[1].textContent; })'
)
HERE = 'document.activeElement.closest("tr").cells[1].textContent'
SHOWN = 'getComputedStyle(document.querySelector(".compare .before")).clipPath'
PLACE = """(function (area) {
  area.scrollIntoView();
  const box = area.getBoundingClientRect();
  return [box.x, box.y, box.width];
})(document.querySelector(".compare input"))"""
DECODED = (
    "Promise.all(Array.from(document.images, function (image) {"
    '  image.loading = "eager"; return image.decode().then(function () { return image.naturalWidth > 0; }); }))'
)
WIDER = "document.documentElement.scrollWidth - innerWidth"


def test_the_slider_moves_by_mouse_and_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert "50%" in browser.value(SHOWN)
    left, top, width = browser.value(PLACE)
    browser.mouse("mousePressed", left + width / 2, top + 20)
    browser.mouse("mouseMoved", left + width * 0.8, top + 20)
    browser.mouse("mouseReleased", left + width * 0.8, top + 20)
    assert browser.value('document.querySelector(".compare input").value') in ("79", "80", "81")
    moved = browser.value(SHOWN)
    browser.press("ArrowRight")
    assert "50%" not in moved != browser.value(SHOWN)
    assert not browser.complaints()


def test_the_table_sorts_and_is_walked_by_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    heading = 'Array.from(document.querySelectorAll(".summary button")).find(b => b.textContent === "PSNR dB")'
    assert browser.value(NAMES) == ["a", "b", "c", "d"]
    browser.value(f"{heading}.focus()")
    browser.press("Enter")
    assert browser.value(NAMES) == ["b", "a", "c", "d"]
    assert browser.value(f'{heading}.parentElement.getAttribute("aria-sort")') == "ascending"
    browser.press("Enter")
    assert browser.value(NAMES) == ["c", "a", "b", "d"]
    # From the last heading the next stop is the table's one row, the last that had the focus; then out of the table.
    browser.value('Array.from(document.querySelectorAll(".summary button")).pop().focus()')
    browser.press("Tab")
    assert browser.value(HERE) == "a"
    walked = []
    for key in ("Home", "ArrowDown", "ArrowDown", "ArrowUp", "End", "ArrowDown"):
        browser.press(key)
        walked.append(browser.value(HERE))
    assert walked == ["c", "a", "b", "a", "d", "d"]
    browser.press("Enter")
    assert browser.value("location.hash") == "#picture-d"
    assert not browser.complaints()


@pytest.mark.parametrize("width", [390, 1200])
def test_all_pictures_show_and_it_fits(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width)
    assert browser.value("innerWidth") == width
    assert browser.value(DECODED) == [True] * (4 * 5)
    assert browser.value(WIDER) <= 0
    assert not browser.complaints()


OUTSIDE = """Array.from(document.querySelectorAll("body *")).filter(function (one) {
  const box = one.getBoundingClientRect();
  return box.width && !one.closest("svg") && (box.right > innerWidth + 1 || box.left < -1);
}).map(function (one) { return one.tagName + " " + one.textContent.slice(0, 40); })"""


def test_on_a_narrow_screen_nothing_is_cut_off(browser: Browser, page: Path) -> None:
    browser.open(page, 390)
    browser.value('document.querySelectorAll("details").forEach(function (one) { one.open = true; })')
    assert browser.value(OUTSIDE) == []
    shown = 'getComputedStyle(document.querySelector(".summary tbody tr td.number"), "::before").content'
    assert browser.value(shown) == '"residual / noise"'


def test_on_paper_all_is_open_and_light_and_both_pictures_are_there(browser: Browser, page: Path) -> None:
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    background = "getComputedStyle(document.body).backgroundColor"
    browser.call("Emulation.setEmulatedMedia", features=dark)
    browser.open(page)
    assert browser.value(background) == "rgb(18, 22, 28)"
    browser.call("Emulation.setEmulatedMedia", media="print", features=dark)
    assert browser.value(background) == "rgb(255, 255, 255)"
    assert browser.value(SHOWN) == "none"
    boxes = """Array.from(document.querySelector(".compare").querySelectorAll("img"), function (one) {
      return one.getBoundingClientRect().left; })"""
    result, before = browser.value(boxes)
    assert before < result
    browser.value('dispatchEvent(new Event("beforeprint"))')
    assert browser.value('document.querySelectorAll("details:not([open])").length') == 0
    browser.value('dispatchEvent(new Event("afterprint"))')
    assert browser.value('document.querySelectorAll("details[open]").length') == 0
    assert not browser.complaints()


def test_a_request_would_be_seen_and_is_forbidden(browser: Browser, page: Path) -> None:
    worse = '<img src="http://127.0.0.1:9/x.png" alt=""><script>nothing();</script></body>'
    page.write_text(page.read_text().replace("</body>", worse))
    browser.open(page)
    said = "\n".join(browser.complaints())
    assert "Content Security Policy" in said and "nothing is not defined" in said
