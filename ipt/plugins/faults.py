"""Exceptions in one line, with the file and line of the plugin that they come from."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

_OWN = str(Path(__file__).parents[1])
_LIBRARIES = frozenset(
    {"PIL", "click", "diffusers", "huggingface_hub", "numpy", "safetensors", "scipy", "skimage", "torch", "yaml"}
)


def one_line(error: BaseException) -> str:
    """An exception as one line: its type and its message."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def located(error: BaseException) -> str:
    """An exception as one line, with file and line in brackets if it comes from a plugin."""
    return f"{one_line(error)}{place(error)}"


def place(error: BaseException) -> str:
    """File and line, in brackets, of the innermost frame that is neither in `ipt` nor in a library; "" if none."""
    frames = traceback.extract_tb(error.__traceback__)
    found = next((frame for frame in reversed(frames) if _is_a_plugins(frame.filename)), None)
    return f" ({found.filename}, line {found.lineno})" if found else ""


def _is_a_plugins(filename: str) -> bool:
    file = Path(filename)
    if not file.is_file() or filename.startswith(_OWN):
        return False
    if "site-packages" in file.parts:
        return file.parts[file.parts.index("site-packages") + 1] not in _LIBRARIES
    return not filename.startswith(sysconfig.get_path("stdlib"))
