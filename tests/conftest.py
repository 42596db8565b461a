"""Tests see no third-party plugin but those they install themselves, into a folder that goes when they end."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Install = Callable[..., Path]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite in the background of a script is deaf to Ctrl-C, and so would be the processes that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_third_party_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens to be installed on this machine changes no test; `install` lifts this."""
    monkeypatch.setenv("IPT_PLUGINS", "")


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps of `proximal` at most, however many are asked for: to see that something runs."""
    from ipt.guidance.proximal import Proximal
    from ipt.sampling.schedules import Karras

    monkeypatch.setattr(Proximal, "schedule", lambda self, steps=None: Karras(min(steps or 3, 3)))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_third_party_plugins: None) -> Iterator[Install]:
    """install(distribution, source) puts a real distribution on sys.path (and PYTHONPATH): a module, and metadata with
    an entry point of the group `ipt`. From then on plugins are discovered, in this process and in those it starts.

    module: its name, default the distribution's with underscores. entry: the entry point's value, default the module.
    """
    folder = tmp_path / "site"
    modules: list[str] = []

    def put(distribution: str, source: str, module: str = "", entry: str = "", version: str = "1.2") -> Path:
        if not folder.exists():
            folder.mkdir()
            monkeypatch.syspath_prepend(str(folder))
            inherited = os.environ.get("PYTHONPATH")
            monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *([inherited] if inherited else [])]))
            monkeypatch.delenv("IPT_PLUGINS")
        module = module or distribution.replace("-", "_")
        modules.append(module)
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
        metadata = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (metadata / "entry_points.txt").write_text(f"[ipt]\n{distribution} = {entry or module}\n")
        importlib.invalidate_caches()
        return folder

    yield put
    for name in modules:
        sys.modules.pop(name, None)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A server (tests/priors/hub_server.py) that stands in for the Hugging Face hub, with no files, and an empty cache,
    the folder `hub` of tmp_path."""
    from huggingface_hub import constants

    spec = importlib.util.spec_from_file_location("hub_server", Path(__file__).parent / "priors" / "hub_server.py")
    assert spec is not None and spec.loader is not None
    hub_server = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hub_server)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with hub_server.running() as server:
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield server
