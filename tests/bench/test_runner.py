from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ipt.bench import attempts, perceptual
from ipt.bench.attempts import Bench, BenchOptions
from ipt.bench.cases import cases_of
from ipt.bench.runner import run_bench
from ipt.core.errors import IptError
from ipt.images import files
from ipt.solve.metrics import psnr

EVERYTHING = {
    "protocol.yaml", "rows.jsonl", "pictures", "table.md", "results.csv", "results.json", "plots.svg", "sheet.png",
}  # fmt: skip


@pytest.fixture
def tiny(tiny):
    """So small that no shift is searched, which takes longer than all the rest."""
    return replace(tiny, size=16)


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    """LPIPS and FID are not computed, whatever this machine has."""
    monkeypatch.setenv("IPT_METRIC_WEIGHTS", str(tmp_path / "no weights"))


def rows_of(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    document = json.loads((out / "results.json").read_text())
    return {(row["solver"], row["case"]): row for row in document["rows"]}


def test_what_is_written_and_measured(bench, tiny, tmp_path, listener):
    report = run_bench(bench(), str(tmp_path), listener)
    assert {path.name for path in tmp_path.iterdir()} == EVERYTHING
    rows = rows_of(tmp_path)
    assert len(rows) == 9 and all(row["status"] == "done" for row in rows.values())
    case = cases_of(tiny)[1]
    assert rows["measurement", "00001"]["psnr"] == pytest.approx(psnr(case.measurement.clamp(0, 1), case.clean))
    assert "residual" not in rows["measurement", "00001"] and "kernel_mnc" not in rows["measurement", "00001"]
    blind = rows["blind", "00001"]
    assert blind["calls"] == 4 and blind["residual"] > 0 and blind["seconds"] > 0
    assert 0 <= blind["kernel_mnc_unregistered"] <= blind["kernel_mnc"] <= 1
    assert 0 < blind["kernel_mse_registered"] <= blind["kernel_mse"]
    known = rows["known", "00001"]
    assert known["calls"] == 2 and "kernel_mnc" not in known and known["psnr"] > blind["psnr"]
    written = files.read(tmp_path / "pictures" / "00001.known.png").pixels
    assert psnr(written, case.clean) == pytest.approx(known["psnr"], abs=0.05), "as written, at 8 bits"
    kernel = np.load(tmp_path / "pictures" / "00001.blind.kernel.npy")
    assert kernel.shape == (1, 7, 7) and kernel.sum() == pytest.approx(1, abs=1e-5)
    assert np.array_equal(np.load(tmp_path / "pictures" / "00001.clean.kernel.npy"), case.parameters["kernel"].numpy())
    assert report.table == (tmp_path / "table.md").read_text()
    assert "LPIPS was not computed" in report.table and "FID was not computed" in report.table
    assert "known: guidance proximal, 2 steps, given border unknown and the true kernel." in report.table


def test_what_is_done_is_not_done_again(bench, tmp_path, listener, monkeypatch):
    first = run_bench(bench(), str(tmp_path), listener)
    lines = (tmp_path / "rows.jsonl").read_text()
    monkeypatch.setattr(attempts, "solve_tasks", None)
    monkeypatch.setattr(attempts, "baseline", None)
    again = run_bench(bench(), str(tmp_path), listener)
    assert (tmp_path / "rows.jsonl").read_text() == lines and again.table == first.table
    assert len(listener.ended) == 9


def test_a_run_that_was_killed_goes_on_and_ends_the_same(bench, tmp_path, listener):
    run_bench(bench(), str(tmp_path / "whole"), listener)
    whole = rows_of(tmp_path / "whole")
    run_bench(bench(), str(tmp_path / "part"), listener)
    log = tmp_path / "part" / "rows.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(lines[:4]) + lines[4][:50])
    listener.ended.clear()
    run_bench(bench(), str(tmp_path / "part"), listener)
    assert len(listener.ended) == 5
    for key, row in rows_of(tmp_path / "part").items():
        timed = ("seconds", "memory")
        assert {k: v for k, v in row.items() if k not in timed} == {
            k: v for k, v in whole[key].items() if k not in timed
        }


def test_results_do_not_depend_on_the_batch_nor_on_the_other_cases(bench, tiny, tmp_path, listener):
    run_bench(bench(batch=1), str(tmp_path / "a"), listener)
    run_bench(Bench(tiny.changed(count=2, solvers=["blind"]), BenchOptions(batch=8)), str(tmp_path / "b"), listener)
    one, other = rows_of(tmp_path / "a"), rows_of(tmp_path / "b")
    assert set(other) == {("blind", "00000"), ("blind", "00001")}
    for key, row in other.items():
        assert row["psnr"] == pytest.approx(one[key]["psnr"], abs=1e-3)
        assert row["identity"] == one[key]["identity"]
    assert any(" to 00002" in name for name in listener.began) is False
    assert "blind 00000 to 00001" in listener.began


def test_another_seed_is_another_row_and_the_files_follow(bench, tmp_path, listener):
    run_bench(bench(), str(tmp_path), listener)
    run_bench(bench(seed=1), str(tmp_path), listener)
    other = rows_of(tmp_path)["blind", "00000"]
    listener.ended.clear()
    run_bench(bench(), str(tmp_path), listener)
    # The pictures in the folder were those of seed 1: they are made again.
    assert [name for name, _ in listener.ended] == [f"{s} 0000{n}" for s in ("blind", "known") for n in range(3)]
    first = rows_of(tmp_path)["blind", "00000"]
    assert first["identity"] != other["identity"] and first["psnr"] != other["psnr"]


def test_other_data_do_not_go_into_the_same_folder(bench, tiny, tmp_path, listener):
    run_bench(bench(), str(tmp_path), listener)
    with pytest.raises(IptError, match="has results on other data"):
        run_bench(Bench(replace(tiny, seed=5)), str(tmp_path), listener)


def test_a_failure_is_written_down_and_tried_again(bench, tmp_path, listener, monkeypatch):
    real = attempts.solve_tasks
    broken = cases_of(bench().protocol)[1].measurement

    def sometimes(tasks, room, watch):
        if any(torch.equal(task.measurement[0], broken) for task in tasks):
            raise IptError("the solve diverged")
        return real(tasks, room, watch)

    monkeypatch.setattr(attempts, "solve_tasks", sometimes)
    report = run_bench(bench(), str(tmp_path), listener)
    rows = rows_of(tmp_path)
    assert [rows["blind", f"0000{n}"]["status"] for n in range(3)] == ["done", "failed", "done"]
    assert [solver["failed"] for solver in report.document["solvers"]] == [0, 1, 1]
    assert "Failed: blind 00001 (mirrored-astronaut.png): the solve diverged" in report.table
    assert ("blind 00001", "failed") in listener.ended
    monkeypatch.setattr(attempts, "solve_tasks", real)
    listener.ended.clear()
    run_bench(bench(), str(tmp_path), listener)
    assert listener.ended == [("blind 00001", "done"), ("known 00001", "done")]
    assert rows_of(tmp_path)["blind", "00001"]["status"] == "done"


def test_a_solve_that_diverges_is_a_failure(tiny, tmp_path, listener):
    spec = replace(tiny.solvers[1], guidance="dps", settings={"guidance.scale": 1e6})
    run_bench(Bench(replace(tiny, count=1, solvers=(spec,))), str(tmp_path), listener)
    row = rows_of(tmp_path)["blind", "00000"]
    assert row["status"] == "failed" and "diverged" in row["reason"]


def test_samples_bring_calibration(tiny, tmp_path, listener):
    run = Bench(tiny.changed(solvers=["blind", "known"]), BenchOptions(samples=3))
    report = run_bench(run, str(tmp_path), listener)
    row = rows_of(tmp_path)["blind", "00002"]
    assert {f"{name}_coverage_{level}" for name in ("image", "kernel") for level in (50, 90)} <= set(row)
    assert sum(row["histograms"]["kernel"]) == pytest.approx(1) and row["calls"] == 12
    values = report.document["solvers"][0]["values"]
    assert 0 <= values["kernel_rank_p"]["mean"] <= 1 and values["image_rank_f"]["mean"] >= 0
    assert "kernel_rank_p" not in report.document["solvers"][1]["values"]
    assert "## Calibration" in report.table and "ranks of the true kernel" in (tmp_path / "plots.svg").read_text()


def test_lpips_and_fid_are_of_the_written_pictures_and_kept(bench, tiny, tmp_path, listener, monkeypatch):
    calls = []

    def fake_lpips(device):
        return lambda first, second: calls.append("lpips") or float((first - second).abs().mean())

    def fake_features(device):
        return lambda pictures: calls.append("fid") or pictures.double().mean((2, 3)).numpy()

    monkeypatch.setattr(perceptual, "lpips_metric", fake_lpips)
    monkeypatch.setattr(perceptual, "inception_features", fake_features)
    report = run_bench(bench(), str(tmp_path), listener)
    picture, clean = (files.read(tmp_path / "pictures" / f"00000.{name}.png").pixels for name in ("blind", "clean"))
    assert rows_of(tmp_path)["blind", "00000"]["lpips"] == pytest.approx(float((picture - clean).abs().mean()))
    values = {solver["solver"]: solver["values"] for solver in report.document["solvers"]}
    means = {
        name: np.stack([255 * files.read(tmp_path / "pictures" / f"0000{n}.{name}.png").pixels.mean((1, 2)).numpy()
                        for n in range(3)]) for name in ("blind", "clean")
    }  # fmt: skip
    expected = perceptual.frechet_distance([means["blind"]], [means["clean"]])
    assert values["blind"]["fid"]["mean"] == pytest.approx(expected, rel=1e-3)
    assert calls.count("lpips") == 9
    calls.clear()
    assert run_bench(bench(), str(tmp_path), listener).table == report.table and calls == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"guidance": "proxmal"}, "no guidance is called 'proxmal'; did you mean 'proximal'"),
        ({"settings": {"guidance.scle": 1}}, "no option 'scle'"),
        ({"known": ("krnel",)}, "no parameter 'krnel'"),
        ({"operator": {"kernel_size": 64}}, "solver blind cannot be used at 16 x 16 px: .*larger than the picture"),
    ],
)
def test_a_solver_that_cannot_be_is_refused_before_anything_is_solved(tiny, tmp_path, listener, changes, said):
    specs = (tiny.solvers[0], replace(tiny.solvers[1], **changes))
    with pytest.raises(IptError, match=said):
        run_bench(Bench(replace(tiny, solvers=specs)), str(tmp_path / "out"), listener)
    assert not listener.began and not (tmp_path / "out").exists()


def test_a_size_that_the_prior_does_not_take(tiny, tmp_path, listener, monkeypatch):
    from ipt.priors.analytic import GaussianPrior

    def refuses(self, shape):
        raise ValueError("takes 64 x 64 alone")

    monkeypatch.setattr(GaussianPrior, "normalization", refuses)
    with pytest.raises(IptError, match="solver blind cannot be used at 16 x 16 px: takes 64 x 64 alone"):
        run_bench(Bench(tiny), str(tmp_path / "out"), listener)
