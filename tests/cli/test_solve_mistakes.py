"""Options and inputs that `ipt solve` cannot take: what it says of them, and its exit code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from PIL import Image

from ipt.cli.main import cli

QUICK = ("--prior", "gaussian", "--prior", "kernel=gaussian", "--steps", "3", "--set", "operator.kernel_size=7")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--operator", "blurr"], 2, "did you mean 'blur'?"),
        (["--prior", "gausian"], 2, "did you mean 'gaussian'?"),
        (["--prior", "gausian:mean=1"], 2, "no prior is called 'gausian'; did you mean 'gaussian'?"),
        (["--prior", "kernel=emprical:samples=/tmp/k.npz"], 2, "did you mean 'empirical'?"),
        (["--prior", "kernel=box:lo=.5"], 2, "did you mean 'low'?"),
        (["--prior", "kernel=empirical:smples=k.npz"], 2, "did you mean 'samples'?"),
        (["--prior", "kernle=gaussian"], 2, "did you mean 'kernel'?"),
        (["--guidance", "proximl"], 2, "did you mean 'proximal'?"),
        (["--set", "guidance.zetta=1"], 2, "did you mean 'zeta'?"),
        (["--set", "guidence.zeta=1"], 2, "did you mean 'guidance'?"),
        (["--border", "mirror"], 1, "border is one of circular, zero, reflect, replicate, unknown"),
        (["--border", "zero", "--set", "operator.border=reflect"], 2, "given twice"),
        (["--set", "operator.kernel_size=33"], 1, "a kernel of 33 x 33 px is larger than the picture of 32 x 32 px"),
        (["--prior", "weights/nowhere"], 1, "no file or folder weights/nowhere"),
        (["--device", "quantum"], 1, "no device 'quantum'"),
        (["--known", "kernel=nowhere.npy"], 1, "nowhere.npy does not exist"),
        (["--reference", "nowhere.png"], 1, "nowhere.png cannot be read"),
        (["--config", "nowhere.yaml"], 1, "nowhere.yaml cannot be read"),
        (["--fit", "squash"], 2, "'squash' is not one of"),
        (["--noise", "loud"], 2, "give auto, or a standard deviation above 0"),
        (["--noise", "0"], 2, "give auto, or a standard deviation above 0"),
        (["--noise", "2.55"], 2, "divide it by 255"),
        (["--noise", "nan"], 2, "give auto"),
        (["--steps", "0"], 2, "give a whole number from 1 up"),
        (["--steps", "1.5"], 2, "give a whole number from 1 up"),
        (["--samples", "none"], 2, "give a whole number"),
        (["--batch", "0"], 2, "give auto, or a whole number from 1 up"),
        (["--save-every", "-1"], 2, "give a number of seconds from 0 up"),
        (["--shard", "0/4"], 2, "give K/N with K from 1 to N, as in 3/64, or none, not '0/4'"),
        (["--shard", "5/4"], 2, "give K/N"),
        (["--shard", "some"], 2, "give K/N"),
        (["--shard", "1/2"], 1, "shares out a folder, and this is one picture"),
        (["--set", "guidance"], 2, "as in guidance.scale=.3"),
        (["--known", "k.npy"], 2, "as in kernel=kernel.npy"),
        (["--prior", "kernel=box", "--prior", "kernel=box"], 2, "given twice"),
        (["--gidance", "dps"], 2, "--guidance"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_solved(arguments, code, said, picture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usual = [] if arguments[:1] == ["--prior"] and code == 2 else ["--prior", "kernel=gaussian"]
    if arguments[0] not in ("--known", "--prior"):
        usual += ["--prior", "gaussian"]
    if (arguments[0] == "--prior" and arguments[1].startswith("kern")) or arguments[0] == "--known":
        usual = ["--prior", "gaussian"]
    result = run("solve", picture, "-o", "out", *usual, *arguments)
    assert result.exit_code == code, result.stderr
    assert said in result.stderr and result.stdout == ""
    message = result.stderr[result.stderr.index("Error:") :]
    assert len(message.strip().splitlines()) <= 2
    assert not (tmp_path / "out").exists()


def test_a_variable_of_the_environment_is_named_when_it_is_wrong(picture, tmp_path, monkeypatch):
    monkeypatch.setenv("IPT_STEPS", "many")
    result = run("solve", picture, "-o", tmp_path / "out")
    assert result.exit_code == 2 and "IPT_STEPS" in result.stderr


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("stepps: 3\n", 2, "did you mean 'steps'?"),
        ("steps: ten\n", 2, "give a whole number from 1 up, not 'ten'"),
        ("- steps\n", 1, "does not hold options"),
        ("steps: 3\nset: [1\nseed: 3\n", 1, "c.yaml is not YAML: line 3, column 5: expected ',' or ']', but got ':'"),
        ("steps: 3: 4\n", 1, "c.yaml is not YAML: line 1, column 9: mapping values are not allowed here; correct it"),
        ("steps: \x01\n", 1, "c.yaml is not YAML: character 8: special characters are not allowed; correct it"),
        ("known: {kernel: 3}\n", 2, "give text for 'kernel'"),
    ],
)
def test_a_config_that_cannot_be(text, code, said, picture, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(text)
    result = run("solve", picture, "-o", tmp_path / "out", "--config", config)
    assert result.exit_code == code
    assert said in result.stderr and "c.yaml" in result.stderr and not (tmp_path / "out").exists()
    assert code == 2 or len(result.stderr.splitlines()) == 1


def test_inputs_that_cannot_be(tmp_path, saved):
    def said(path: Path) -> str:
        result = run("solve", path, "-o", tmp_path / "out", *QUICK)
        assert result.exit_code == 1 and len(result.stderr.strip().splitlines()) <= 2, result.stderr
        assert not (tmp_path / "out").exists()
        return result.stderr

    text = tmp_path / "text.png"
    text.write_text("not a picture")
    assert "is not a picture" in said(text)
    whole = saved(tmp_path / "in" / "a.png").read_bytes()
    text.write_bytes(whole[:-200])
    assert "cut short" in said(text)
    text.write_bytes(b"")
    assert "empty" in said(text)
    assert "does not exist" in said(tmp_path / "nowhere.png")
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    assert "1 x 1 pixels" in said(tmp_path / "dot.png")
    values = np.full((16, 16), 0.5, np.float32)
    values[3, 3] = np.nan
    Image.fromarray(values).save(tmp_path / "nan.tif")
    assert "NaN" in said(tmp_path / "nan.tif")
    (tmp_path / "empty").mkdir()
    assert "holds no pictures" in said(tmp_path / "empty")


def test_weights_that_are_no_weights(picture, tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\0" * 100)
    priors = ("--prior", tmp_path / "w.safetensors", "--prior", "kernel=box")
    result = run("solve", picture, "-o", tmp_path / "out", *priors)
    assert result.exit_code == 1 and "w.safetensors" in result.stderr and len(result.stderr.splitlines()) <= 2


@pytest.mark.parametrize("level", ["1.5", "0", "yes", "-1"])
def test_a_level_of_clipping_that_cannot_be(picture, tmp_path, level):
    result = run("solve", picture, "-o", tmp_path / "out", *QUICK, f"--clipped={level}")
    assert result.exit_code == 2 and "auto, none, or a value above 0 and at most 1" in result.stderr


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        (
            -np.eye(5) / 5,
            "k.npy is no kernel (point spread function, sums to 1): 5 of its 25 values are below 0, the least -0.2",
        ),
        (np.eye(5) * 1j, "complex numbers"),
        (np.zeros((5, 5)), "holds nothing but zeros"),
        (np.full((5, 5), np.inf), "NaN or infinite"),
        (np.full((5, 5), np.nan), "NaN or infinite"),
        (np.array([{"a": 1}], dtype=object), "not a .npy file of numbers"),
        (np.ones(9), "k.npy holds 9 values along one axis"),
        (np.ones((3, 5, 5)), "of shape (3, 5, 5); give one of the operator's, (1, 5, 5)"),
        (np.ones((40, 40)), "a kernel of 40 x 40 px is larger than the picture of 32 x 32 px; give a smaller one"),
    ],
    ids=["negative", "complex", "zero", "infinite", "NaN", "no numbers", "one axis", "three channels", "too large"],
)
def test_a_kernel_that_is_none(picture, tmp_path, kernel, said):
    np.save(tmp_path / "k.npy", kernel, allow_pickle=True)
    known = ("--prior", "gaussian", "--steps", 2, "--known")
    result = run("solve", picture, "-o", tmp_path / "out", *known, f"kernel={tmp_path / 'k.npy'}")
    assert result.exit_code == 1 and said in result.stderr, result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2


@pytest.mark.parametrize(("value", "said"), [(0, "dark all over"), (255, "light all over")])
def test_a_mask_of_nothing_or_of_everything(picture, tmp_path, value, said):
    Image.new("L", (32, 32), value).save(tmp_path / "mask.png")
    result = run("solve", picture, "-o", tmp_path / "out", *QUICK, "--mask", tmp_path / "mask.png")
    assert result.exit_code == 1 and said in result.stderr


def test_floats_of_another_range(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.linspace(-0.5, 0.6, 1024, dtype=np.float32).reshape(32, 32))
    result = run("solve", tmp_path / "a.tif", "-o", tmp_path / "out", *QUICK)
    assert result.exit_code == 1 and "scale them to 0..1, as by (x + 0.5) / 1.1" in result.stderr


def test_a_mask_of_another_size(picture, tmp_path):
    Image.new("L", (16, 16), 255).save(tmp_path / "mask.png")
    result = run("solve", picture, "-o", tmp_path / "out", *QUICK, "--mask", tmp_path / "mask.png")
    assert result.exit_code == 1 and "16 x 16 px and the picture 32 x 32" in result.stderr
