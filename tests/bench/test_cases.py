from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ipt.bench.cases import cases_of, export
from ipt.core.errors import IptError
from ipt.images import files
from ipt.operators.blur import Blur
from ipt.solve.example import face


def saved(path: Path, picture: torch.Tensor) -> Path:
    path.parent.mkdir(exist_ok=True)
    files.write(path, picture)
    return path


def test_a_case_is_the_operator_on_the_clean_picture_with_noise(tiny):
    cases = cases_of(tiny)
    case = cases[1]
    assert len(cases) == 3 and case.stem == "00001" and case.picture == "mirrored-astronaut.png"
    assert torch.equal(case.clean, face(32).flip(-1))
    blurred = Blur(7, "circular").forward(case.clean[None], case.parameters["kernel"][None])[0]
    assert float((case.measurement - blurred).std()) == pytest.approx(0.02, rel=0.05)


def test_the_test_kernels_are_the_same_for_any_pictures_and_differ_by_case_and_seed(tiny, tmp_path):
    for name in ("a.png", "b.png"):
        saved(tmp_path / "in" / name, torch.rand(3, 40, 36))
    own, others = cases_of(tiny), cases_of(tiny.changed(pictures=str(tmp_path / "in")))
    assert len(others) == 2 and others[1].clean.shape == (3, 32, 32)
    for number in range(2):
        assert torch.equal(own[number].parameters["kernel"], others[number].parameters["kernel"])
        noise = [
            case.measurement - Blur(7, "circular").forward(case.clean[None], case.parameters["kernel"][None])[0]
            for case in (own[number], others[number])
        ]
        assert torch.allclose(*noise, atol=1e-6)
    assert not torch.equal(own[0].parameters["kernel"], own[1].parameters["kernel"])
    assert not torch.equal(own[0].parameters["kernel"], cases_of(replace(tiny, seed=1))[0].parameters["kernel"])
    assert own[0].digest == cases_of(tiny)[0].digest != others[0].digest


def test_pictures_are_cut_to_a_square_and_reduced(tiny, tmp_path):
    picture = torch.zeros(1, 32, 96)
    picture[:, :, 32:64] = 1
    path = saved(tmp_path / "in" / "wide.png", picture)
    case = cases_of(tiny.changed(pictures=str(path)))[0]
    assert torch.equal(case.clean, torch.ones(3, 32, 32)), "the middle third, grey in three equal channels"


def test_what_cannot_be_used(tiny, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(IptError, match="holds no pictures"):
        cases_of(tiny.changed(pictures=str(tmp_path / "empty")))
    with pytest.raises(IptError, match="brings no pictures; name a folder of them"):
        cases_of(replace(tiny, pictures=""))
    path = saved(tmp_path / "in" / "small.png", torch.rand(3, 31, 64))
    with pytest.raises(IptError, match=r"small.png is 64 x 31 px and the protocol wants 32 x 32"):
        cases_of(tiny.changed(pictures=str(path)))[0]
    with pytest.raises(IptError, match="no generator is called 'moton'"):
        cases_of(replace(tiny, generators={"kernel": replace(tiny.generators["kernel"], name="moton")}))
    with pytest.raises(IptError, match="'kernel' has no generator"):
        cases_of(replace(tiny, generators={}))[0]


def test_an_export_holds_what_the_benchmark_solves(tiny, tmp_path):
    assert export(tiny, str(tmp_path / "data")) == 3
    case = cases_of(tiny)[2]
    assert np.array_equal(np.load(tmp_path / "data" / "00002.npy"), case.measurement.numpy())
    assert np.array_equal(np.load(tmp_path / "data" / "truth" / "00002.kernel.npy"), case.parameters["kernel"].numpy())
    clean = files.read(tmp_path / "data" / "truth" / "00002.png")
    assert clean.depth == 16 and (clean.pixels - case.clean).abs().max() < 1e-5
    assert files.read(tmp_path / "data" / "00002.png").pixels.shape == (3, 32, 32)
    assert (tmp_path / "data" / "protocol.yaml").is_file()


def test_the_parameters_are_exported_without_pictures(tiny, tmp_path):
    assert export(replace(tiny, pictures=""), str(tmp_path / "data")) == 3
    names = {path.name for path in (tmp_path / "data" / "truth").iterdir()}
    assert names == {f"0000{number}.kernel.npy" for number in range(3)}
    kernel = np.load(tmp_path / "data" / "truth" / "00001.kernel.npy")
    assert np.array_equal(kernel, cases_of(tiny)[1].parameters["kernel"].numpy())
