"""`python -m ipt.training`: a description in JSON, on torch and numpy alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from ipt.training.__main__ import main

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
        "24 pictures of 8 x 8 px in 1 channel (pictures.npy); the first 4 held out for validation"
    )


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
