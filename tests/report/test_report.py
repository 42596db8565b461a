from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ipt.core.errors import IptError
from ipt.images.files import Picture
from ipt.report.report import write_report
from ipt.solve.outputs import write_failure, write_result
from ipt.solve.result import ImageResult

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Elements with their attributes, text, and whether every tag is closed by its own."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data.replace("\n", "")

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def solved(side: int = 12, depth: int = 8, **record: object) -> ImageResult:
    numbers = torch.Generator().manual_seed(0)
    picture = torch.rand(1, side, side, generator=numbers)
    return ImageResult(
        picture=Picture(picture, depth=depth),
        measurement=Picture(picture / 2, depth=depth),
        parameters={"kernel": torch.rand(1, 5, 7, generator=numbers)},
        residual=torch.full((1, side, side), 0.011),
        noise=0.01,
        trace=[0.5, 0.1, 0.011],
        record=record,
    )


def page_of(folder: Path) -> Page:
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    assert not page.open
    return page


def test_one_picture(tmp_path: Path) -> None:
    options = {"noise": {"value": 0.0123456, "from": "command line"}, "steps": {"value": [1, 2], "from": "run.yaml"}}
    metrics = {"psnr": 27.4, "kernel_mnc": 0.952}
    record = {"seconds": 21.73, "calls": {"image": 100}, "metrics": metrics, "options": options}
    samples = torch.rand(2, 1, 12, 12)
    result = replace(solved(depth=16, **record), samples=samples, spread=samples.std(0), reference=Picture(samples[0]))
    write_result(tmp_path, "a", result)
    page = page_of(tmp_path)
    (slider,) = page.all("input")
    assert slider["type"] == "range" and slider["aria-label"] == "Input on the left, result on the right: a"
    assert {a["alt"] for a in page.all("img")} == {
        "the input", "the result", "kernel", "residual", "spread", "reference", "sample 1", "sample 2",
    }  # fmt: skip
    for said in ("kernel, 7 × 5 px", "21.73", "27.40", "0.952", "0.0123456", "command line", "1, 2", "1.10"):
        assert said in page.text
    assert len(page.all("svg")) == 1 and not page.all("button")


@pytest.mark.parametrize(
    ("channels", "shows"),
    [(1, "its largest value white"), (2, "arrows to where each value came from"), (4, "each in its place")],
)
def test_it_is_said_what_the_picture_of_a_parameter_shows(channels: int, shows: str, tmp_path: Path) -> None:
    write_result(tmp_path, "a", replace(solved(), parameters={"kernel": torch.rand(channels, 5, 7)}))
    assert f"kernel, 7 × 5 px, {shows}" in page_of(tmp_path).text


def test_the_residual_over_the_noise_is_that_away_from_the_borders(tmp_path: Path) -> None:
    for stem, more in (("a", {}), ("b", {"residual_inside": 0.0234})):
        path = write_result(tmp_path, stem, solved(**more))
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "residual": 0.05, "noise": 0.02}))
    page = page_of(tmp_path)
    rows = [a["data-value"] for a in page.all("td") if "data-value" in a]
    assert "2.5" in rows and repr(0.0234 / 0.02) in rows
    # Key numbers, the table of numbers, and the summary of both.
    assert page.text.count("2.50") == 3 and page.text.count("1.17") == 3
    assert page.text.count("away from the borders") == 1 and page.text.count("0.0234") == 1


def judged(probability: float, verdict: str, **more: Any) -> ImageResult:
    draws = [{"seed": 7, "probability": probability, "doubt": ""}, {"seed": 8, "probability": 0.1, "doubt": "mask= it"}]
    return solved(verdict=verdict, probability=probability, draws=draws, shown=[1], **more)


def test_a_verdict_of_several_sentences_is_shown_finding_by_finding(tmp_path: Path) -> None:
    wrong = "likely wrong (30 % that it is right): rings; the residual is large. Try another seed=."
    # A record of this version has its findings; "; " may stand within one.
    parts = {"findings": ["rings; of two lights", "the residual is large"], "advice": ["try another seed="]}
    write_result(tmp_path, "a", judged(0.3, wrong, **parts))
    text = page_of(tmp_path).text
    assert "Rings; of two lights. The residual is large." in text and "Try another --seed." in text


def test_what_needs_attention_comes_first_with_what_to_do(tmp_path: Path) -> None:
    bad = "likely wrong (20 % that it is right): the kernel was not found; try another seed=, or noise=.1"
    write_result(tmp_path, "a", judged(0.9, "likely right (90 %): the residual is small"))
    write_result(tmp_path, "b", judged(0.2, bad, advice=["try another seed=, or noise=.1"]))
    write_failure(tmp_path, "z", "it is cut short; copy it again")
    page = page_of(tmp_path)
    text = page.text
    assert "1 to be looked at \u00b7 1 failed" in text
    ids = [a["id"] for a in page.all("section") if "id" in a]
    assert ids == ["picture-z-failed", "picture-b", "picture-a"]
    assert text.index("it is cut short") < text.index("All pictures") < text.index("What to do:")
    assert "The kernel was not found." in text and "Try another --seed, or --noise .1." in text
    assert text.count("What to do:") == 1 and text.count("Likely wrong (20 % that it is right)") == 2
    assert "right with 10 %, seed 8, --mask it" in text.replace("\n", " ")


def test_draws_have_their_pictures_and_what_was_not_trusted_is_red(tmp_path: Path) -> None:
    samples = torch.rand(2, 1, 12, 12)
    kernels = {"kernel": torch.rand(2, 1, 5, 7)}
    mask = torch.ones(1, 12, 12)
    mask[:, :6] = 0
    result = judged(0.4, "likely wrong (40 %): rings", trusted=0.5)
    write_result(tmp_path, "a", replace(result, samples=samples, drawn=kernels, mask=mask))
    page = page_of(tmp_path)
    alts = [a["alt"] for a in page.all("img")]
    assert alts[-4:] == ["sample 1", "sample 1-kernel", "sample 2", "sample 2-kernel"]
    assert "in red what was not trusted: 50 % of the input" in page.text
    (shown,) = [a["src"] for a in page.all("img") if a["alt"] == "mask"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.partition(",")[2]))).convert("RGB")).astype(int)
    redness = pixels[:, :, 0] - pixels[:, :, 2]
    assert redness[:6].min() > 80 and abs(redness[6:]).max() == 0
    assert {"a.mask.png", "a.sample2-kernel.png", "a.kernel.npy"} <= {a["href"] for a in page.all("a")}


def test_nothing_refers_outside(tmp_path: Path) -> None:
    for stem in ("a", "b"):
        write_result(tmp_path, stem, solved(input="https://example.org/a.png"))
    text = write_report(tmp_path).read_text(encoding="utf-8")
    page = Page(text)
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            value = attributes.get(name, "#")
            beside = "/" not in value and (tmp_path / value).is_file()
            assert value.startswith("data:") or value == "#" or value[1:] in ids or (name == "href" and beside)
    assert "url(" not in text and "@import" not in text and "fetch(" not in text
    policies = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies and policies[0].startswith("default-src 'none'")


def test_what_a_record_says_is_only_text(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>{{body}}\"'&"
    options = {evil: {"value": evil, "from": evil}}
    write_result(tmp_path, "a&b <i>", solved(input=evil, options=options, versions={"ipt": evil}))
    write_failure(tmp_path, "c", evil)
    page = page_of(tmp_path)
    assert len(page.all("script")) == 1 and not page.all("i")
    assert page.text.count(evil) == 7 and "a&b <i>" in page.text


def test_many_pictures(tmp_path: Path) -> None:
    for number in range(3):
        metrics = {"psnr": 20.0 + number} if number else {}
        write_result(tmp_path, f"a{number}", solved(seconds=float(number + 1), metrics=metrics))
    write_failure(tmp_path, "broken", "it is cut short; copy it again")
    (tmp_path / "other.json").write_text("[1]")
    (tmp_path / "half.json").write_text("{")
    page = page_of(tmp_path)
    assert "3 pictures solved \u00b7 1 failed \u00b7 6.00 s" in page.text
    assert "it is cut short; copy it again" in page.text
    assert len(page.all("button")) == 5
    values = [a["data-value"] for a in page.all("td") if "data-value" in a]
    assert values[4::6] == ["1.0", "2.0", "3.0"] and values[5::6] == ["", "21.0", "22.0"]
    links = {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")}
    assert links == {a["id"] for a in page.all("section") if "id" in a and not a["id"].endswith("-failed")}


def test_what_pictures_have_in_common_is_said_once(tmp_path: Path) -> None:
    for stem, steps in (("a", 10), ("b#1", 10), ("c", 20)):
        options = {"steps": {"value": steps, "from": "command line"}, "prior": {"value": "faces", "from": "default"}}
        result = replace(solved(options=options, seed=7, versions={"ipt": "1.2.3"}), samples=torch.rand(2, 1, 12, 12))
        write_result(tmp_path, stem, result)
    page = page_of(tmp_path)
    assert page.text.count("faces") == 1 and page.text.count("versions: ipt") == 1
    assert page.text.count("command line") == 2
    # Files are beside the page.
    beside = [a["href"] for a in page.all("a") if not a["href"].startswith("#")]
    assert "b%231.sample2.png" in beside and "b%231.kernel.npy" in beside and "c.png" in beside


@pytest.mark.parametrize(("count", "most", "kind"), [(23, 640, "png"), (24, 240, "webp"), (200, 160, "webp")])
def test_the_more_pictures_the_smaller(tmp_path: Path, count: int, most: int, kind: str) -> None:
    path = write_result(tmp_path, "0", replace(solved(), picture=Picture(torch.rand(1, 250, 250))))
    for number in range(1, count):
        (tmp_path / f"{number}.json").write_text(path.read_text())
    shown = [image for image in page_of(tmp_path).all("img") if image["alt"] == "the result"]
    assert len(shown) == count and shown[0]["src"].startswith(f"data:image/{kind}")
    assert {image["width"] for image in shown} == {str(min(250, most))}
    assert all(image["loading"] == "lazy" for image in shown)


def test_of_too_many_the_worst_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipt.report.report._MOST", 2)
    for stem, residual in (("a", 0.01), ("b", 0.03), ("c", 0.02)):
        write_result(tmp_path, stem, solved(residual_inside=residual))
    page = page_of(tmp_path)
    assert "3 pictures solved \u00b7 here the 2 with the largest residual for their noise" in page.text
    assert [a["id"] for a in page.all("section") if "id" in a] == ["picture-b", "picture-c"]


def test_pictures_are_what_was_written_and_large_ones_small(tmp_path: Path) -> None:
    write_result(tmp_path, "a", replace(solved(depth=16), picture=Picture(torch.full((1, 1500, 40), 0.25), depth=16)))
    image = next(a for a in page_of(tmp_path).all("img") if a["alt"] == "the result")
    shown = Image.open(io.BytesIO(base64.b64decode(image["src"].split(",")[1])))
    assert shown.size == (32, 1200) and np.asarray(shown).mean() == pytest.approx(0.25 * 255, abs=1)


def test_a_missing_or_foreign_file_is_left_out(tmp_path: Path) -> None:
    path = write_result(tmp_path / "out", "a", solved())
    (tmp_path / "secret.png").write_bytes((path.parent / "a.png").read_bytes())
    record = json.loads(path.read_text())
    record["files"]["kernel"] = "../secret.png"
    path.write_text(json.dumps(record))
    (path.parent / "a.residual.png").unlink()
    assert {a["alt"] for a in page_of(path.parent).all("img")} == {"the input", "the result"}


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(IptError, match="holds no results"):
        write_report(tmp_path)


def test_numbers_are_shown_with_their_unit(tmp_path: Path) -> None:
    numbers = {
        "radius": {"values": [2.5312], "unit": "px", "meaning": "of <the> disc"},
        "shift": {"values": [-0.5, 0.25, 0, 0, 1.5], "unit": "px", "meaning": "of each line"},
    }
    write_result(tmp_path, "a", solved(parameters=numbers))
    page = page_of(tmp_path)
    assert "radius2.53 px" in page.text and "shift5 values, -0.500 to 1.50 px" in page.text
    assert "of <the> disc" in [attributes.get("title") for attributes in page.all("div")]


@pytest.mark.parametrize(("shape", "slider"), [((24, 24), True), ((36, 36), True), ((24, 12), False)])
def test_input_and_result_lie_on_each_other_if_they_are_of_one_format(tmp_path: Path, shape, slider) -> None:
    result = replace(solved(), measurement=Picture(torch.rand(1, *shape)))
    write_result(tmp_path, "a", result)
    page = page_of(tmp_path)
    assert any(attributes.get("type") == "range" for attributes in page.all("input")) == slider
    assert {"the input", "the result"} <= {attributes.get("alt") for attributes in page.all("img")}
