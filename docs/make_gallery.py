"""The gallery: runs the scripts of examples/gallery in docs/gallery, where their pictures stay; writes docs/gallery.md.

    python docs/make_gallery.py [NAME ...]

Without a name, it runs the scripts whose code has changed since their picture was made. What they print, and which code
it was, is kept in docs/gallery/printed.json.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "examples" / "gallery"
PICTURES = ROOT / "docs" / "gallery"
PRINTED = PICTURES / "printed.json"
ORDER = (
    "face", "photograph", "known_kernel", "moon", "small", "defocus", "lights", "mask", "draws", "plates",
)  # fmt: skip


def code(name: str) -> str:
    """A hash of a script, without its text and layout."""
    tree = ast.parse((SCRIPTS / f"{name}.py").read_text(encoding="utf-8"))
    return hashlib.sha256(ast.dump(ast.Module(tree.body[1:], [])).encode()).hexdigest()[:16]


def printed() -> dict[str, dict[str, Any]]:
    """By name of a script: its code, what it printed, its seconds of one CPU core."""
    return json.loads(PRINTED.read_text(encoding="utf-8")) if PRINTED.exists() else {}


def run(name: str) -> dict[str, Any]:
    """A script's picture, made anew."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, SCRIPTS / f"{name}.py"],
        cwd=PICTURES,
        env={**os.environ, **threads},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"code": code(name), "prints": done.stdout, "seconds": round(after.ru_utime - before.ru_utime)}


def page() -> str:
    """docs/gallery.md."""
    parts = [
        "# Gallery",
        "",
        "Each picture was made by the script below it, with nothing but what `ipt` and scikit-image contain. Times are",
        "seconds of one CPU core. This page is written by `docs/make_gallery.py`.",
    ]
    for name in ORDER:
        text = ast.get_docstring(ast.parse((SCRIPTS / f"{name}.py").read_text(encoding="utf-8"))) or ""
        title, _, story = text.partition("\n\n")
        made = printed()[name]
        parts += ["", f"## {title.rstrip('.')}", "", story, "", f"![{title}](gallery/{name}.jpg)", ""]
        parts += ["```text", made["prints"].rstrip(), "```", ""]
        parts += [f"[{name}.py](../examples/gallery/{name}.py), {made['seconds']} s"]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Run what was named, or what has changed."""
    made = printed()
    for name in sys.argv[1:] or [name for name in ORDER if made.get(name, {}).get("code") != code(name)]:
        print(name, flush=True)
        made[name] = run(name)
        PRINTED.write_text(json.dumps({each: made[each] for each in ORDER if each in made}, indent=1) + "\n")
    (ROOT / "docs" / "gallery.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
