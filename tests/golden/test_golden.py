"""Golden tests: small solves by every rule and kind of operator give what they gave when golden.json was recorded.

They use the command line and `ipt.build` alone, so code may move freely behind these. A figure that changes on purpose
is recorded anew, and the change of golden.json is read before it is committed:

    IPT_RECORD_GOLDEN=1 pytest tests/golden

With `-k` the other cases keep their figures.

What is kept of a picture or a parameter: the means of 4x4 areas of each channel, mean and standard deviation. Other
CPUs, numbers of threads and versions of torch add up in another order, and a solve multiplies such differences in
rounding: hence tolerances. For pictures it is 2e-3 (of 0..1; half a grey level of 8 bits). A kernel's values are small,
so its tolerance is 1 % of its greatest figure. A tilt is hardly told where the picture is flat: with the plainest
instructions of the CPU (ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41) it came out up to 1.4 % away, so 5 %.
Numbers of calls and sizes are exact, and so is a run that was killed and continued, compared with an undisturbed one
on the same machine. IPT_GOLDEN_SEED=8 solves with other seeds: then all cases fail but the known kernel's, which leaves
a draw too little room.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import ipt

GOLDEN = Path(__file__).with_name("golden.json")
RECORDING = os.environ.get("IPT_RECORD_GOLDEN") == "1"
SEED = int(os.environ.get("IPT_GOLDEN_SEED", "7"))  # another one must fail: that is how these tests are tested
PICTURE, RESIDUAL = 2e-3, 1e-2  # absolute; of the residual
LOOSER = {"burst": 4}  # times: its four steps leave it undecided, and one thread and two differ by up to 1.4 of these
PARAMETERS = {"kernel": 1e-2, "tilt": 5e-2, "spread": 1e-2}  # of the greatest figure
SIZE = 17  # of the kernels


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SLURM_", "RANK", "WORLD_SIZE", "TORCHELASTIC"))]:
        monkeypatch.delenv(name)


def figures(values: Any) -> dict[str, Any]:
    """Of an array (..., H, W): mean, standard deviation, and the means of 4x4 areas of each plane, a plane a row."""
    array = np.asarray(values, float)
    planes = array.reshape(-1, *array.shape[-2:])
    areas = [
        [float(part.mean()) for rows in np.array_split(plane, 4) for part in np.array_split(rows, 4, axis=1)]
        for plane in planes
    ]
    return {
        "shape": list(array.shape),
        "mean": float(f"{array.mean():.6g}"),
        "std": float(f"{array.std():.6g}"),
        "areas": [" ".join(f"{value:.6g}" for value in plane) for plane in areas],
    }


def check(case: str, exact: dict[str, Any], residual: list[float], image: Any, **parameters: Any) -> None:
    """Compare with what golden.json has of the case, or record it there."""
    exact = json.loads(json.dumps(exact))
    found = {
        **exact,
        "residual": [float(f"{value:.6g}") for value in residual],
        "image": figures(image),
        "parameters": {name: figures(value) for name, value in sorted(parameters.items())},
    }
    kept = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    if RECORDING:
        text = json.dumps({**kept, case: found}, indent=1, sort_keys=True)
        GOLDEN.write_text(text + "\n", encoding="utf-8")
        return
    golden = kept[case]
    assert {name: found[name] for name in exact} == {name: golden[name] for name in exact}
    looser = LOOSER.get(case, 1)
    close(found["image"], golden["image"], looser * PICTURE)
    assert list(found["parameters"]) == list(golden["parameters"])
    for name, ours in found["parameters"].items():
        kept_figures = golden["parameters"][name]
        close(ours, kept_figures, looser * PARAMETERS[name] * np.abs(numbers(kept_figures)).max(), name)
    np.testing.assert_allclose(
        found["residual"], golden["residual"], rtol=looser * RESIDUAL, err_msg=f"{case}: residual"
    )


def numbers(kept: dict[str, Any]) -> np.ndarray:
    return np.array([kept["mean"], kept["std"], *(float(text) for row in kept["areas"] for text in row.split())])


def close(ours: dict[str, Any], golden: dict[str, Any], tolerance: float, name: str = "image") -> None:
    assert ours["shape"] == golden["shape"], name
    np.testing.assert_allclose(numbers(ours), numbers(golden), rtol=0, atol=tolerance, err_msg=name)


def scene(side: int, top: int = 56, left: int = 160) -> np.ndarray:
    """A part of the astronaut at half size, (3, side, side) in 0..1; by default with her face in the first 64x64."""
    crop = data.astronaut()[top : top + 2 * side, left : left + 2 * side].astype(float) / 255
    return crop.reshape(side, 2, side, 2, 3).mean((1, 3)).transpose(2, 0, 1)


def motion(seed: int = 3) -> np.ndarray:
    """The kernel of a random walk, (1, 1, SIZE, SIZE), centred."""
    steps = np.cumsum(np.random.default_rng(seed).normal(size=(2, 400)), axis=1)
    steps -= steps.mean(1, keepdims=True)
    steps *= 4 / np.abs(steps).max()
    kernel = np.zeros((1, 1, SIZE, SIZE))
    np.add.at(kernel[0, 0], tuple(np.rint(steps).astype(int) + SIZE // 2), 1 / steps.shape[1])
    return kernel


def blurred(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A circular convolution."""
    total = np.zeros_like(picture)
    for row, column in np.argwhere(kernel[0, 0]):
        shifted = np.roll(picture, (row - SIZE // 2, column - SIZE // 2), (1, 2))
        total += kernel[0, 0, row, column] * shifted
    return total


def noisy(*pictures: np.ndarray) -> torch.Tensor:
    clean = np.stack(pictures)
    return torch.tensor(clean + 0.01 * np.random.default_rng(5).normal(size=clean.shape), dtype=torch.float32)


def face() -> torch.Tensor:
    """A face with a circular blur."""
    return noisy(blurred(scene(64), motion()))


def solved(case: str, measurement: torch.Tensor, known: dict[str, torch.Tensor] | None = None, **options: Any) -> Any:
    """Build, solve with one seed a picture, and check."""
    torch.manual_seed(0)
    given = {"known": tuple(known)} if known else {}
    solver = ipt.build(device="cpu", **given, **options)
    seeds = [SEED + index for index in range(len(measurement))]
    solution = solver.solve(measurement, noise=0.01, seeds=seeds, **({"known": known} if known else {}))
    exact = {"calls": dict(solution.calls), "sizes": solution.sizes}
    parameters = {name: value.numpy() for name, value in solution.parameters.items()}
    check(case, exact, [float(value) for value in solution.residual], solution.image.numpy(), **parameters)
    return solution


def blur(**more: Any) -> dict[str, Any]:
    """Settings of the operator."""
    return {"operator.kernel_size": SIZE, **{f"operator.{name}": value for name, value in more.items()}}


def test_blind_blur_with_a_circular_border():
    batch = noisy(blurred(scene(64), motion()), blurred(scene(64, 60, 150), motion(4)))
    solved("blind circular", batch, operator="blur", prior="faces", settings=blur(border="circular"), steps=12)


def test_blind_blur_with_an_unknown_border():
    wide = blurred(scene(96, 56 - 32, 160 - 32), motion())[:, 16:80, 16:80]
    solved("blind unknown", noisy(wide), operator="blur", prior="faces", settings=blur(border="unknown"), steps=12)


def test_known_kernel():
    known = {"kernel": torch.tensor(motion(), dtype=torch.float32)}
    settings = blur(border="circular")
    solution = solved("known", face(), known, operator="blur", prior="faces", settings=settings, steps=12)
    clean = torch.tensor(scene(64))
    before, after = (float(((picture - clean) ** 2).mean()) for picture in (face()[0], solution.image[0]))
    assert after < before / 2


def test_from_coarse_to_fine():
    measurement = noisy(blurred(scene(96), motion()))
    settings = {"operator.kernel_size": 32}
    solution = solved("coarse to fine", measurement, operator="blur", prior="natural", settings=settings, steps=8)
    assert len(solution.sizes) > 1


def test_dps():
    settings = blur(border="circular")
    solved("dps", face(), operator="blur", prior="faces", guidance="dps", settings=settings, steps=10)


def test_regularized():
    penalties = {"guidance.rule": "dps", "guidance.penalties.kernel": "l0:0.3", "guidance.penalties.image": "tv:0.02"}
    settings = {**blur(border="circular"), **penalties}
    solved("regularized", face(), operator="blur", prior="faces", guidance="regularized", settings=settings, steps=8)


def test_composed_operator():
    small = blurred(scene(64), motion()).reshape(3, 32, 2, 32, 2).mean((2, 4))
    settings = {"operator.blur.kernel_size": SIZE}
    solved("composed", noisy(small), operator="blur+downscale:2", prior="faces", settings=settings, steps=12)


def start(*arguments: object) -> subprocess.Popen[str]:
    """`ipt`, on the CPU and of the same code as here."""
    home = str(Path(ipt.__file__).parents[1])
    inherited = os.environ.get("PYTHONPATH")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([home, *([inherited] if inherited else [])])}
    command = [sys.executable, "-m", "ipt", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def command(*arguments: object) -> str:
    """Run `ipt` to its end; what it says."""
    with start(*arguments) as process:
        said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return said + errors


def solve(*arguments: object) -> str:
    return command("solve", *arguments, "--device", "cpu", "--precision", "fp32")


def pixels(path: Path) -> np.ndarray:
    """(C, H, W) in 0..1, of a PNG of 8 bits."""
    with Image.open(path) as picture:
        return np.asarray(picture, float).transpose(2, 0, 1) / 255


def written(case: str, out: Path, name: str, *parameters: str) -> None:
    """Check what a run wrote for one picture."""
    record = json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
    values = {parameter: np.load(out / f"{name}.{parameter}.npy") for parameter in parameters}
    check(case, {"calls": record["calls"]}, [record["residual_inside"]], pixels(out / f"{name}.png"), **values)


def another() -> tuple[object, ...]:
    """Another seed, where one is asked for."""
    return () if SEED == 7 else ("--seed", SEED)


def test_example_of_the_readme(tmp_path):
    solve("-o", tmp_path / "out", "--steps", 8, *another())
    written("readme", tmp_path / "out", "astronaut", "kernel")


def test_two_samples(tmp_path):
    out = tmp_path / "out"
    solve("-o", out, "--steps", 6, "--samples", 2, "--doubtful", "show", *another())
    written("samples", out, "astronaut", "spread")
    first, second = (pixels(out / f"astronaut.sample{number}.png") for number in (1, 2))
    assert np.abs(first - second).mean() > PICTURE
    inside = (np.minimum(first, second) > 0) & (np.maximum(first, second) < 1)  # files cut off what lies outside
    assert inside.mean() > 0.5
    # The result is the mean of those that are likely right, or the likeliest.
    result = pixels(out / "astronaut.png")
    apart = [np.abs(may - result)[inside].max() for may in ((first + second) / 2, first, second)]
    assert min(apart) < 1.01 / 255


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    levels = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    Image.fromarray(levels.transpose(1, 2, 0)).save(path)


def test_turbulence_burst(tmp_path):
    save(tmp_path / "a.png", scene(64))
    operator = ("--operator", "turbulence")
    command("simulate", tmp_path / "a.png", "-o", tmp_path / "data", *operator, "--frames", 3)
    frames = [pixels(tmp_path / "data" / "a" / f"{number:02}.png") for number in (1, 2, 3)]
    truth = {name: np.load(tmp_path / "data" / "truth" / f"a.{name}.npy") for name in ("kernel", "tilt")}
    check("simulated burst", {}, [], np.stack(frames), **truth)
    burst = (tmp_path / "data" / "a", "--frames", *operator)
    solve(*burst, "-o", tmp_path / "out", "--noise", 0.01, "--steps", 4, *another())
    written("burst", tmp_path / "out", "a", "kernel", "tilt")


def test_killed_and_continued_a_folder_gives_the_very_same(tmp_path):
    for number in range(3):
        clean = blurred(scene(64, 56 + 4 * number), motion(number))
        save(tmp_path / "in" / f"{number}.png", noisy(clean)[0].numpy())
    common = (tmp_path / "in", "--batch", 2, "--save-every", 0, "--steps", 8, "--noise", 0.01, *another())
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"
    solve(*common, "-o", undisturbed)
    with start("solve", *common, "-o", out, "--device", "cpu", "--precision", "fp32") as process:
        deadline = time.monotonic() + 60
        while not list(out.glob(".state/*.pt")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len(results(out)) < len(results(undisturbed))
    assert "Going on from" in solve(*common, "-o", out)
    assert results(out) == results(undisturbed)
    for number in range(3):
        written(f"folder {number}", out, str(number), "kernel")


def results(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for ending in ("*.png", "*.npy") for path in out.glob(ending)}
