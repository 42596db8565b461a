"""What ten installed plugins add to `ipt list`.

    python benchmarks/plugin_listing.py --out benchmarks/results/plugin_listing.json

Packages as `ipt new-plugin` writes them, of every kind in turn, are installed by pip into a folder of their own;
`ipt list` is then run with and without that folder on the path, in turn. Seconds are those of the processor (user and
system), which a busy machine changes little, and of the clock; the ratio is the median of those of the pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ipt.cli.new_plugin import contents
from ipt.plugins.component import KINDS


def install(count: int, folder: Path) -> Path:
    """That many plugins, in the folder that is returned."""
    written = []
    for index in range(count):
        name = f"ipt-example-{index}"
        for place, text in contents(name, name.removeprefix("ipt-"), list(KINDS)[index % len(KINDS)]).items():
            (folder / name / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / name / place).write_text(text)
        written.append(str(folder / name))
    site = folder / "site"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, *written], check=True)
    return site


def timed(path: str) -> tuple[float, float, int]:
    """Seconds of the processor and of the clock that `ipt list` takes, and the lines that it prints."""
    environment = {name: value for name, value in os.environ.items() if name != "IPT_PLUGINS"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "ipt", "list"],
        env={**environment, "PYTHONPATH": path},
        check=True,
        capture_output=True,
        text=True,
    )
    clock, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor, clock, len(done.stdout.splitlines())


def main() -> None:
    """Time `ipt list` with and without plugins."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", type=int, default=10)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--out")
    options = parser.parse_args()
    given = os.environ.get("PYTHONPATH", "")
    with tempfile.TemporaryDirectory() as folder:
        site = install(options.plugins, Path(folder))
        paths = {"none": given, "plugins": os.pathsep.join(filter(None, [str(site), given]))}
        # The first of each writes bytecode, and is not counted.
        lines = {name: timed(path)[2] for name, path in paths.items()}
        assert lines["plugins"] >= lines["none"] + options.plugins
        pairs = [{name: timed(path)[:2] for name, path in paths.items()} for _ in range(options.runs)]
    result: dict = {"plugins": options.plugins, "runs": options.runs}
    for index, kind in enumerate(("processor", "clock")):
        none, some = (np.array([pair[name][index] for pair in pairs]) for name in ("none", "plugins"))
        low, high = np.percentile(some / none, [25, 75])
        result[kind] = {
            "none": float(np.median(none)),
            "plugins": float(np.median(some)),
            "ratio": float(np.median(some / none)),
            "quartiles": [float(low), float(high)],
        }
        print(
            f"{kind}: {np.median(none):.3f} s with none, {np.median(some):.3f} s with {options.plugins}; "
            f"ratio {np.median(some / none):.2f} (quartiles {low:.2f} to {high:.2f})"
        )
    if options.out:
        Path(options.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
