"""Damaged inputs: no traceback, no wrong picture, no half-written file.

    python benchmarks/mutated_inputs.py --count 2000 --seed 0

Small sound files (TIFF, PNG, JPEG, WebP, YAML, npy, safetensors) are damaged at random and given to `ipt solve`, as the
picture, the config, the kernel or the prior. Each must end in a message of a few lines, or in a result, and then:

    a picture   what was read is what another decoder makes of the damaged file; of PNG, whose parts have checksums, the
                picture that it was
    an array    likewise
    a folder    holds whole results and nothing else; after an error, nothing

The seed and the number of a case say which it is: `--only 123` runs it alone and keeps its file in --work.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

QUICK = ("--prior", "gaussian", "--prior", "kernel=gaussian", "--set", "operator.kernel_size=7", "--steps", "1")
SECONDS = 60
MEMORY = 12 * 2**30
EDGES = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_LACKING = ("imagecodecs", "Invalid integer data type")
"""What tifffile says where it needs a package that it does not have."""
YAML = b"""\
# a run
operator: blur
prior: {image: gaussian, kernel: gaussian}
noise: 0.02
steps: 1
seed: 3
samples: 1
border: circular
fit: error
set:
  operator.kernel_size: 7
  guidance.zeta: 1.0
"""


@dataclass(frozen=True)
class Case:
    """A damaged file: of which kind ("tiff"), from which sound one, and its bytes before and after."""

    kind: str
    name: str
    sound: bytes
    damaged: bytes


def sound_files() -> dict[str, bytes]:
    """By name, the kind first."""
    import tifffile
    from PIL import Image
    from safetensors.torch import save

    from ipt.priors.adm import ADMConfig, ADMUNet

    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32] / 32
    smooth = np.stack([rows, columns, rows * columns + 0.2], -1)
    deep = np.rint(65535 * (0.9 * smooth + 0.05 * random.random(smooth.shape)).clip(0, 1)).astype(np.uint16)
    eight = (deep >> 8).astype(np.uint8)
    found: dict[str, bytes] = {}

    def kept(name: str, write: Callable[[io.BytesIO], object]) -> None:
        file = io.BytesIO()
        write(file)
        found[name] = file.getvalue()

    exif = Image.Exif()
    exif[274], exif[271] = 6, "a camera"
    picture, grey = Image.fromarray(eight), Image.fromarray(eight[:, :, 1])
    pages, planes, rgb = np.stack([deep[:, :, 0]] * 3), np.moveaxis(deep, -1, 0), {"photometric": "rgb"}
    kept("tiff 8", lambda file: tifffile.imwrite(file, eight, **rgb))
    kept("tiff 16 zip", lambda file: tifffile.imwrite(file, deep, compression="zlib", **rgb))
    kept("tiff 16 planar", lambda file: tifffile.imwrite(file, planes, planarconfig="separate", **rgb))
    kept("tiff float tiles", lambda file: tifffile.imwrite(file, (deep / 65535).astype("f4"), tile=(16, 16), **rgb))
    kept("tiff pages", lambda file: tifffile.imwrite(file, pages, photometric="minisblack", metadata=None))
    kept("tiff lzw", lambda file: picture.save(file, "TIFF", compression="tiff_lzw"))
    kept("tiff 16 lzw", lambda file: Image.fromarray(deep[:, :, 0]).save(file, "TIFF", compression="tiff_lzw"))
    kept("png 8", lambda file: picture.save(file, "PNG", exif=exif, dpi=(72, 72)))
    kept("png 16", lambda file: Image.fromarray(deep[:, :, 0]).save(file, "PNG"))
    kept("png palette", lambda file: picture.quantize(16).save(file, "PNG", transparency=3))
    kept("jpeg", lambda file: picture.save(file, "JPEG", quality=90, exif=exif))
    kept("jpeg progressive", lambda file: grey.save(file, "JPEG", quality=80, progressive=True))
    kept("webp", lambda file: picture.save(file, "WEBP", quality=80, exif=exif))
    kept("webp lossless", lambda file: picture.save(file, "WEBP", lossless=True))
    kept("npy", lambda file: np.save(file, np.outer(*[np.hanning(9)[1:-1]] * 2)))
    kept("npy halves", lambda file: np.save(file, np.ones((1, 5, 5), np.float16)))
    network = ADMUNet(ADMConfig(channels=3, width=32, multipliers=(1, 2), attention=(), head_channels=64))
    return {**found, "yaml": YAML, "safetensors": save(network.state_dict())}


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """A file's bytes with one to three faults; never the same bytes."""
    values = bytearray(data)
    while bytes(values) == data:
        for _ in range(random.integers(1, 4)):
            # Headers, where the structure is, at least as often as all the rest.
            end = len(values) if random.random() < 0.5 else min(len(values), 200)
            place, count = int(random.integers(0, max(1, end))), int(random.integers(1, 9))
            fault = random.integers(0, 8)
            if fault == 0:
                values[place : place + 1] = bytes([values[place] ^ (1 << int(random.integers(8)))]) if values else b""
            elif fault == 1:
                values[place : place + count] = random.bytes(count)
            elif fault == 2:
                del values[int(random.integers(len(data) // 4, len(data))) :]
            elif fault == 3:
                del values[place : place + count]
            elif fault == 4:
                values[place:place] = random.bytes(count)
            elif fault == 5:
                values[place : place + 4 * count] = bytes(len(values[place : place + 4 * count]))
            elif fault == 6:
                edge = int(EDGES[random.integers(len(EDGES))])
                values[place : place + 4] = struct.pack("<I" if random.random() < 0.5 else ">I", edge)
            else:
                start = int(random.integers(0, max(1, len(values))))
                values[place : place + 8 * count] = values[start : start + 8 * count]
            if not values:
                values = bytearray(b"\0")
    return bytes(values)


def cases(count: int, seed: int) -> Iterator[Case]:
    """The cases of a seed, the kinds in turn; the same for any count."""
    sound = sound_files()
    kinds = sorted({name.split()[0] for name in sound})
    for number in range(count):
        random = np.random.default_rng([seed, number])
        kind = kinds[number % len(kinds)]
        names = sorted(name for name in sound if name.split()[0] == kind)
        name = names[int(random.integers(len(names)))]
        yield Case(kind, name, sound[name], damaged(sound[name], random))


class Sandbox:
    """A folder with a sound picture, in which cases are run one after the other."""

    def __init__(self, work: Path):
        self.work, self.out = work, work / "out"
        work.mkdir(parents=True, exist_ok=True)
        self.picture = work / "sound.png"
        self.picture.write_bytes(sound_files()["png 8"])

    def run(self, case: Case) -> tuple[str, str]:
        """How a case ends, "taken", "refused" or "wrong"; and what is wrong with that."""
        path = self.work / f"case.{'jpg' if case.kind == 'jpeg' else 'tif' if case.kind == 'tiff' else case.kind}"
        path.write_bytes(case.damaged)
        arguments = {
            "yaml": (self.picture, "--config", path),
            "npy": (self.picture, "--known", f"kernel={path}", *QUICK[:2], *QUICK[4:]),
            "safetensors": (self.picture, "--prior", path, "--set", "prior.schedule=linear", *QUICK[2:]),
        }.get(case.kind, (path, *QUICK))
        code, said = self._solved(["solve", *map(str, arguments), "-o", str(self.out)])
        if (
            code not in (0, 1, 2)
            or "Error: unexpected" in said
            or "Traceback" in said
            or (code and len(said.splitlines()) > 9)
        ):
            return "wrong", f"exit code {code}: {said[-300:]}"
        if fault := self._half_written(code) or (_wrong(case, path) if code == 0 else ""):
            return "wrong", fault
        return "refused" if code else "taken", ""

    def _solved(self, arguments: list[str]) -> tuple[int, str]:
        from ipt.cli.main import cli

        for left in sorted(self.out.rglob("*"), reverse=True) if self.out.exists() else ():
            left.rmdir() if left.is_dir() else left.unlink()
        heard = io.StringIO()
        signal.signal(signal.SIGALRM, _too_slow)
        signal.alarm(SECONDS)
        try:
            with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(heard):
                cli.main(arguments)
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 1, heard.getvalue()
        except BaseException as error:
            return 70, f"{type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
        return 0, heard.getvalue()

    def _half_written(self, code: int) -> str:
        there = {path.relative_to(self.out).as_posix() for path in self.out.rglob("*")} if self.out.exists() else set()
        if code:
            return f"left behind: {sorted(there)}" if there else ""
        records = [json.loads(path.read_text()) for path in self.out.glob("*.json")]
        named = {name for record in records for name in record["files"].values()}
        expected = named | {path.name for path in self.out.glob("*.json")} | {"run.yaml", "report.html"}
        return f"there is {sorted(there)}, not {sorted(expected)}" if len(records) != 1 or there != expected else ""


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def _wrong(case: Case, path: Path) -> str:
    """What is wrong with what was read of a file that was taken."""
    from ipt.images import files
    from ipt.images.parameters import read_parameter

    if case.kind == "npy":
        stored = np.load(io.BytesIO(case.damaged)).astype(np.float32)
        return "" if np.array_equal(read_parameter(path).numpy().ravel(), stored.ravel()) else "another array"
    if case.kind not in ("tiff", "png", "jpeg", "webp"):
        return ""
    found = files.read(path)
    read = found.pixels.numpy() if found.alpha is None else np.concatenate([found.pixels, found.alpha])
    expected = _other_decoder(case)
    if isinstance(expected, str) and any(word in expected for word in _LACKING):
        return ""
    if isinstance(expected, str):
        return f"taken, but the other decoder says: {expected}"
    same = read.shape == expected.shape and np.abs(read - expected).max() < 1e-4
    return "" if same else f"another picture: {read.shape} of {found.source}, not {expected.shape}"


def _other_decoder(case: Case) -> np.ndarray | str:
    """(C, H, W) upright in 0..1 by Pillow or tifffile alone; text: that it cannot."""
    import tifffile
    from PIL import Image, ImageOps

    data = case.sound if case.kind == "png" else case.damaged
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if case.kind == "tiff" and "lzw" not in case.name and case.name != "tiff 8":
                with tifffile.TiffFile(io.BytesIO(data)) as file:
                    page = file.pages.first
                    values = page.asarray()
                    values = values if page.photometric else np.iinfo(values.dtype).max - values
                    values = values if page.planarconfig == 1 or values.ndim == 2 else np.moveaxis(values, 0, -1)
                    values = _turned(values, page.tags.valueof(274, 1))
            else:
                with Image.open(io.BytesIO(data)) as image:
                    try:
                        upright = ImageOps.exif_transpose(image)
                    except Exception:
                        # Of a damaged EXIF nobody knows the orientation.
                        upright = image
                    if upright.mode in ("P", "CMYK", "YCbCr", "RGBX"):
                        upright = upright.convert("RGBA" if "transparency" in image.info else "RGB")
                    values = np.array(upright)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    scale = 1 if values.dtype.kind in "fb" else np.iinfo(values.dtype).max
    return np.atleast_3d(values.astype(np.float32)).transpose(2, 0, 1) / scale


def _turned(values: np.ndarray, orientation: object) -> np.ndarray:
    from ipt.images.files import _turned as upright

    return upright(np.atleast_3d(values), orientation if isinstance(orientation, int) else 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one case")
    parser.add_argument("--work", type=Path, help="a folder that stays; by default one that goes")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    faults, taken, began = [], Counter(), time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        sandbox = Sandbox(options.work or Path(place))
        for number, case in enumerate(cases(options.count, options.seed)):
            if options.only not in (None, number):
                continue
            how, fault = sandbox.run(case)
            taken[case.kind, how] += 1
            if fault:
                faults.append(number)
                print(f"{number} ({case.name}): {fault}", flush=True)
    for (kind, what), count in sorted(taken.items()):
        print(f"{kind}: {count} {what}")
    print(f"{len(faults)} of {sum(taken.values())} wrong, {time.monotonic() - began:.0f} s")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
