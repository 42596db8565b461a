"""`ipt cite`: of names, of a run's folder, of a picture's record."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from click.testing import CliRunner

from ipt.cli.main import cli
from ipt.images import files

BLIND = "chung2023parallel"


def run(*arguments: str):
    return CliRunner().invoke(cli, arguments)


def cited(*arguments: str) -> str:
    result = run("cite", *arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files.write("a.png", torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)))
    return tmp_path


def test_ipt_alone():
    assert cited().count("@") == 1 and "  year = {2026},\n  note = {Python package" in cited()


def test_names_of_components():
    text = cited("faces", "blur")
    assert "% prior faces\n@inproceedings{karras2022" in text and f"% operator blur\n@inproceedings{{{BLIND}" in text


def test_a_name_of_two_kinds_means_both():
    assert cited("gaussian").rstrip().endswith("% nothing to cite: prior gaussian, generator gaussian")


def test_a_plugin_is_cited(install):
    component = """ipt.Component("sky", dict, "of a test", 'A, "T", 2026')"""
    install("clouds", f"import ipt\n\n@ipt.hookimpl\ndef ipt_priors():\n    return [{component}]\n")
    assert "@misc{prior-sky,\n  author = {A},\n  title = {T},\n  year = {2026},\n}" in cited("sky")


def test_a_run_of_solve_cites_its_usual_priors_and_what_its_settings_name(workplace):
    settings = ["--set", "guidance.rule=dps", "--set", "kernel.generator=motion", "--set", "kernel.count=5"]
    named = ["--prior", "image=gaussian", "--prior", "kernel=empirical", "--guidance", "regularized"]
    done = run("solve", "a.png", "-o", "out", "--steps", "1", *named, *settings)
    assert done.exit_code == 0, done.output
    text = cited("out")
    assert f"% operator blur, guidance regularized, guidance dps\n@inproceedings{{{BLIND}" in text
    assert "nothing to cite: prior gaussian, prior empirical, generator motion" in text
    assert cited("out/a.json") == text


def test_a_record_with_the_usual_priors(workplace):
    (workplace / "out").mkdir()
    (workplace / "out" / "run.yaml").write_text("operator: blur\nprior: {image: faces}\nknown: {}\n")
    assert "% prior faces, prior kernel-uncentred\n@inproceedings{karras2022" in cited("out")
    (workplace / "out" / "run.yaml").write_text("operator: blur\nprior: {image: faces}\nknown: {kernel: k.npy}\n")
    assert "% prior faces\n@inproceedings{karras2022" in cited("out")


def test_a_run_cites_the_priors_that_its_pictures_had(workplace):
    out = workplace / "out"
    out.mkdir()
    (out / "run.yaml").write_text("operator: blur\nprior: {}\nknown: {kernel: k.npy}\n")
    assert "% prior faces\n" in cited("out")
    for name, prior in (("a", "gaussian"), ("b", "empirical"), ("c", "gaussian")):
        options = {"operator": {"value": "blur"}, "prior.image": {"value": prior}}
        (out / f"{name}.json").write_text(json.dumps({"status": "done", "options": options}))
    (out / "torn.json").write_text("{")
    text = cited("out")
    assert "prior empirical" in text and "prior gaussian" in text and "prior faces" not in text


def test_a_run_of_simulate_cites_its_operators_and_generators(workplace):
    done = run("simulate", "a.png", "-o", "sim", "--operator", "blur+downscale", "--generator", "motion")
    assert done.exit_code == 0, done.output
    text = cited("sim")
    assert BLIND in text and text.rstrip().endswith("% nothing to cite: operator downscale, generator motion")
    assert cited("sim/truth/a.json") == text


@pytest.mark.parametrize(
    ("word", "code", "said"),
    [
        ("nowhere", 2, "there is no component, folder or record called 'nowhere'"),
        ("fases", 2, "did you mean 'faces'?"),
        ("nowhere/a.json", 2, "there is no component, folder or record called"),
        ("empty", 1, "empty/run.yaml does not exist, so this is no folder of a run; give the folder of `ipt solve`"),
        ("torn", 1, "torn/run.yaml is not the record of a run; give the folder of `ipt solve`"),
        ("photo.png", 1, "photo.png is not the record of a run; give the folder of `ipt solve`"),
        ("other.json", 1, "other.json is not the record of a run"),
        ("list.json", 1, "list.json is not the record of a run"),
        ("torn.json", 1, "torn.json is not the record of a run"),
    ],
)
def test_what_is_no_run(word, code, said, workplace):
    (workplace / "empty").mkdir()
    (workplace / "torn").mkdir()
    (workplace / "torn" / "run.yaml").write_text("operator: [blur\n")
    (workplace / "photo.png").write_bytes(b"\x89PNG\r\n")
    (workplace / "other.json").write_text(json.dumps({"a": 1}))
    (workplace / "list.json").write_text("[1]")
    (workplace / "torn.json").write_text('{"a": ')
    result = run("cite", word)
    assert (result.exit_code, result.stdout) == (code, "") and said in result.stderr


def test_a_component_that_is_not_installed_any_more(workplace):
    (workplace / "out").mkdir()
    (workplace / "out" / "run.yaml").write_text("operator: vanished\nprior: {image: faces}\n")
    result = run("cite", "out")
    assert result.exit_code == 2 and "no operator is called 'vanished'" in result.stderr


def test_names_are_cited_without_torch():
    call = "cli(['cite', 'faces'], standalone_mode=False)"
    code = f"import sys; from ipt.cli.main import cli; {call}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
