"""`python -m ipt.training`: a description in JSON, on torch and numpy alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from ipt.core.errors import IptError
from ipt.training.__main__ import main
from ipt.training.job import device, trainer
from ipt.training.progress import Lines, line, time_left, validation_rows
from ipt.training.trainer import Report

from .conftest import gratings

SMALL = {"images": 32, "batch": 4, "validation_images": 4}
NETWORK = {"width": 8, "multipliers": [1, 2]}
ALONE = """
import runpy
import sys
sys.argv = ["ipt.training", {file!r}]
try:
    runpy.run_module("ipt.training", run_name="__main__")
except SystemExit as ended:
    code = ended.code
foreign = {{name.partition(".")[0] for name in sys.modules}} & {{
    "click", "rich", "PIL", "safetensors", "pluggy", "yaml", "skimage", "scipy", "huggingface_hub"
}}
print("foreign:", sorted(foreign))
sys.exit(code)
"""


@pytest.fixture
def described(tmp_path):
    """described(source, **changes) -> the path of a JSON file."""

    def write(source, **changes):
        job = {"out": str(tmp_path / "out"), "source": source, "network": NETWORK, "training": SMALL, **changes}
        (tmp_path / "options.json").write_text(json.dumps(job))
        return str(tmp_path / "options.json")

    return write


def test_it_needs_torch_and_numpy_alone(described, tmp_path):
    file = described({"generator": "kernels", "sizes": [8]})
    code = ALONE.format(file=file)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "foreign: []"
    assert lines[-2] == f"done: {tmp_path / 'out' / 'state.pt'}"
    assert lines[0].startswith("4 of 32 images (12 %), loss ")
    assert any(text.split() == ["sigma", "mse", "PSNR"] for text in lines)


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_a_signal_saves_and_the_same_command_continues(described, tmp_path, capsys):
    file = described({"generator": "kernels", "sizes": [8]}, training={**SMALL, "images": 4_000_000})
    command = [sys.executable, "-m", "ipt.training", file]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline().startswith("4 of")
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 143 and err == ""
    assert "run the same again to continue" in out
    stopped = torch.load(tmp_path / "out" / "state.pt", weights_only=True)["images"]
    assert f"stopped and saved at {stopped:,} images" in out
    described({"generator": "kernels", "sizes": [8]}, training={**SMALL, "images": stopped + 8})
    assert main([file]) == 0
    assert f"continuing {tmp_path / 'out' / 'state.pt'}" in capsys.readouterr().out


def test_an_array_trains_the_same_from_a_file(described, tmp_path):
    np.save(tmp_path / "pictures.npy", gratings())
    assert main([described({"pictures": str(tmp_path / "pictures.npy"), "held_out": 4, "mirror": False})]) == 0
    state = torch.load(tmp_path / "out" / "state.pt", weights_only=True)
    assert state["images"] == 32
    assert json.loads(state["source"])["held_out"] == 4
    assert state["examples"] == (
        "24 pictures of 8x8 pixels in 1 channel (pictures.npy); the first 4 held out for validation"
    )


def test_any_generator_by_module_and_attribute(tmp_path):
    job = {
        "out": tmp_path,
        "source": {"generator": "ipt.operators.kernels:GaussianKernels", "options": {"std": [1, 2]}, "sizes": [8]},
        "network": NETWORK,
    }
    made = trainer(job)
    assert made.source.generator.std == (1, 2)
    assert made.source.identity()["generator"] == "ipt.operators.kernels:GaussianKernels (std=[1, 2])"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sources": {}}, "has no 'sources'; it has out, source"),
        ({"out": ""}, "lacks 'out'"),
        ({"source": {"generator": "kernels", "pictures": "x"}}, "give one of the two"),
        ({"source": {"generator": "kernel"}}, "no generator 'kernel'; there are motion, gaussian, defocus, kernels"),
        ({"source": {"generator": "nowhere:thing"}}, "cannot be imported"),
        ({"source": {"generator": "motion", "options": {"speed": 3}}}, "'motion' refuses its options .*speed"),
        ({"source": {"generator": "motion", "options": {"intensity": [3, 4]}}}, "'motion' refuses its options"),
        ({"source": {"generator": "motion", "held_out": 3}}, "source has no option 'held_out'"),
        ({"source": {"pictures": "missing", "sizes": [8]}}, "source has no option 'sizes'"),
        ({"network": {"channels": 3}}, "network.channels are those of the training examples"),
        ({"network": {"width": 0}}, "at least 1"),
        ({"network": 48}, "network is a table"),
        ({"training": {"rate": -1}}, "training.rate is a number above 0"),
        ({"training": {"device": "gpu"}}, "no device 'gpu' here"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(tmp_path, changes, message):
    job = {"out": tmp_path / "out", "source": {"generator": "kernels"}, **changes}
    with pytest.raises(IptError, match=message):
        trainer(job)
    assert not (tmp_path / "out").exists()


def test_errors_are_one_message_and_exit_code_one(described, tmp_path, capsys):
    assert main([described({"pictures": str(tmp_path / "missing")})]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Error: ") and "does not exist" in err
    (tmp_path / "options.json").write_text("{")
    assert main([str(tmp_path / "options.json")]) == 1
    (tmp_path / "options.json").write_text("[]")
    assert main([str(tmp_path / "options.json")]) == 1
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2


def test_the_best_device_is_found():
    assert device("cpu") == "cpu"
    assert device("auto") in ("cpu", "cuda", "mps")
    if torch.cuda.is_available():
        assert device("auto") == "cuda"


def test_lines_now_and_then():
    written: list[str] = []
    now = [0.0]
    lines = Lines(written.append, every=10, clock=lambda: now[0])
    for second in range(25):
        now[0] = float(second)
        lines.show(Report(100 * (second + 1), 2600, 0.5, 100.0))
    assert [text.split()[0] for text in written] == ["100", "1,100", "2,100"]
    lines.show(Report(2600, 2600, 0.5, 100.0, {0.1: 0.004, 1.0: 0.04}))
    assert written[3].startswith("2,600 of 2,600 images (100 %)")
    assert [text.split() for text in written[4:]] == [
        ["sigma", "mse", "PSNR"],
        ["0.1", "0.004", "30.00", "dB"],
        ["1", "0.04", "20.00", "dB"],
    ]


def test_a_line_reads_well():
    report = Report(12_000, 200_000, 0.2381, 19.44)
    assert line(report) == "12,000 of 200,000 images (6 %), loss 0.2381, 19.4 images/s, 2 h 41 min left"
    assert [time_left(Report(0, 100, 0, rate)) for rate in (0.0, 2.0, 0.1)] == ["?", "50 s", "17 min"]
    assert validation_rows({0.5: 0.0}) == [("0.5", "0", "exact")]
