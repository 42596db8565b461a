"""The photographs are the same for everybody, and the same that earlier figures are of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ipt.bench.attempts import Bench, BenchOptions
from ipt.bench.cases import cases_of, export
from ipt.bench.photographs import draw_kernel, photograph, source
from ipt.bench.protocol import Protocol, load, parsed
from ipt.bench.runner import run_bench
from ipt.core.errors import IptError

# By index: side, kind, largest entry, sum of squares, and second moments in pixels: rows, columns, both.
KERNELS = {
    0: (9, "motion", 0.17378, 0.0742, 4.317, 1.243, 0.2),
    2: (17, "line", 0.04541, 0.03198, 16.903, 19.313, 17.901),
    4: (25, "disc", 0.00943, 0.00892, 8.515, 8.515, 0.0),
    5: (31, "motion", 0.02002, 0.00789, 20.174, 15.659, -1.302),
    6: (9, "gaussian", 0.31329, 0.16836, 1.14, 0.317, -0.34),
}
# Of the picture below, as the script of earlier figures made them: mean, and every 21st pixel of the 64 x 64 in 0..255.
# fmt: off
MEASURED = {
    1: (0.49392298, [
        237, 13, 177, 174, 121, 220, 8, 204, 24, 151, 195, 6, 229, 12, 183, 170,
        240, 252, 245, 205, 209, 79, 2, 63, 47, 44, 233, 175, 22, 242, 71, 95,
        44, 33, 111, 202, 94, 194, 224, 162, 225, 176, 82, 32, 97, 34, 68, 154,
    ]),
    5: (0.51946999, [
        122, 191, 49, 172, 70, 136, 180, 44, 193, 58, 154, 163, 116, 187, 52, 171,
        194, 236, 244, 225, 247, 198, 78, 17, 227, 49, 61, 221, 150, 39, 232, 73,
        170, 85, 44, 83, 43, 73, 151, 210, 140, 202, 194, 118, 198, 133, 65, 60,
    ]),
}
# fmt: on


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The least number of pictures, of the least size for a frame of 32 px."""
    place = tmp_path / "in"
    place.mkdir()
    for number in range(40):
        Image.fromarray(waves(62, 64 + number)).save(place / f"{number:02d}.png")
    return place


@pytest.fixture
def tiny(folder: Path) -> Protocol:
    return replace(load("photographs"), size=32, priors={"image": "gaussian", "kernel": "gaussian"}).changed(
        pictures=str(folder), count=2, steps=2
    )


def waves(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    each = [np.sin(rows / 5 + columns / 9), np.sin(rows * columns / 700), np.cos(columns / 4 - rows / 11)]
    return np.rint(127.5 + 127.5 * np.stack(each, -1)).astype(np.uint8)


@pytest.mark.parametrize("index", KERNELS)
def test_the_kernels_are_shared(index):
    side, kind, *numbers = KERNELS[index]
    kernel, found = draw_kernel(index)
    assert kernel.shape == (1, side, side) and found == kind and float(kernel.sum()) == pytest.approx(1, abs=1e-5)
    kernel = kernel[0].double()
    place = torch.arange(side) - side // 2
    moments = [(kernel * a * b).sum() for a, b in ((place[:, None],) * 2, (place,) * 2, (place[:, None], place))]
    measured = [float(one) for one in (kernel.max(), kernel.square().sum(), *moments)]
    assert measured == pytest.approx(numbers, rel=2e-3, abs=2e-3)


@pytest.mark.parametrize("index", MEASURED)
def test_a_photograph_is_what_it_was(index, tmp_path):
    """Turned in both, and compressed in the second."""
    Image.fromarray(waves(96, 120)).save(tmp_path / "a.png")
    made = photograph(tmp_path / "a.png", index, 64)
    mean, pixels = MEASURED[index]
    assert made.measurement.shape == made.truth.shape == (3, 64, 64)
    assert float(made.measurement.double().mean()) == pytest.approx(mean, abs=2e-6)
    found = (255 * made.measurement).round().int()[:, ::21, ::21].flatten().tolist()
    # Another processor's last digit may round otherwise.
    assert max(abs(a - b) for a, b in zip(found, pixels, strict=True)) <= 1


def test_the_pictures_are_evenly_spaced_whatever_part_is_run():
    paths = [Path(f"{number}") for number in range(100)]
    assert [source(paths, index, 2).name for index in (0, 1, 39)] == ["0", "2", "97"]
    assert source(paths, 1, 40) == source(paths, 1, 2) and source(paths, 49, 50).name == "98"


def test_pictures_that_will_not_do(tiny, folder, tmp_path):
    Image.fromarray(waves(39, 100)).save(folder / "00.png")
    with pytest.raises(IptError, match=r"00.png is 100 x 39 px, and 40 x 40 are needed.*give larger pictures"):
        cases_of(tiny)[0]
    (folder / "39.png").unlink()
    with pytest.raises(IptError, match=r"takes 40 pictures or more, and there are 39; name a folder with more"):
        cases_of(tiny)
    with pytest.raises(IptError, match="brings no pictures; name a folder of them"):
        export(load("photographs"), str(tmp_path / "data"))


def test_the_data_are_written_for_other_solvers(tiny, tmp_path):
    assert export(tiny, str(tmp_path / "data")) == 2
    case = cases_of(tiny)[1]
    assert np.array_equal(np.load(tmp_path / "data" / "00001.npy"), case.measurement.numpy())
    kernel = np.load(tmp_path / "data" / "truth" / "00001.kernel.npy")
    assert np.array_equal(kernel, draw_kernel(1)[0].numpy())


def test_a_recipe_has_data_of_its_own():
    values = load("photographs").plain()
    assert parsed(values, "photographs", "x") == load("photographs")
    with pytest.raises(IptError, match="x: the recipe photographs has its own noise; drop noise"):
        parsed({**values, "noise": 0.1}, "x", "x")
    with pytest.raises(IptError, match="no recipe 'photograph'; did you mean 'photographs'"):
        parsed({**values, "recipe": "photograph"}, "x", "x")


def test_the_table_compares_with_the_measurement_and_with_the_true_kernel(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("IPT_METRIC_WEIGHTS", str(tmp_path / "no weights"))

    class Listener:
        def begin(self, *_: object) -> None: ...
        def step(self, _: object) -> None: ...
        def end(self, outcome: object) -> None: ...

    chosen = tiny.changed(solvers=["measurement", "blind", "true-kernel"])
    report = run_bench(Bench(chosen, BenchOptions(samples=2)), str(tmp_path / "out"), Listener())
    rows = {(row["solver"], row["case"]): row for row in report.document["rows"]}
    blind, known = rows["blind", "00001"], rows["true-kernel", "00001"]
    assert blind["status"] == "done", blind["reason"]
    ratio = 10 ** ((known["psnr_registered"] - blind["psnr_registered"]) / 10)
    assert blind["error_ratio"] == pytest.approx(ratio) and blind["within_twice"] == (ratio <= 2)
    measured = rows["measurement", "00001"]
    assert blind["worse"] == (blind["psnr_registered"] < measured["psnr_registered"] - 0.2)
    assert "error_ratio" not in known and known["worse"] in (0, 1) and "worse" not in measured
    assert blind["kernel_mnc"] > 0 and "kernel_mnc" not in known
    for title in ("worse than measured by .2 dB", "error / true parameters'", "at most twice"):
        assert title in report.table
    assert "cases of 32 x 32 px, seed 0 for the solvers" in report.table
