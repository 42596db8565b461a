"""Files of a benchmark, each there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import yaml

from ipt.bench.protocol import Protocol
from ipt.images.atomic import atomic


def save_text(path: Path, text: str) -> None:
    with atomic(path) as file:
        file.write(text.encode())


def save_protocol(folder: Path, protocol: Protocol) -> None:
    """FOLDER/protocol.yaml, which `ipt bench` reads."""
    text = yaml.safe_dump(protocol.plain(), sort_keys=False, allow_unicode=True, width=100)
    save_text(folder / "protocol.yaml", text)
