"""Downloads from a server on this machine that stands in for the hub."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from ipt.core.errors import IptError, Lacking
from ipt.priors import download
from ipt.priors.download import sha256
from ipt.priors.published import PUBLISHED, cached, fetch

ITEM = PUBLISHED["ffhq"]
CONTENT = bytes(range(256)) * 12_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
PATH = f"/{ITEM.repository}/resolve/main/{ITEM.file}"


@pytest.fixture
def hub(hub):
    """The server with the file, and an empty cache."""
    hub.files[PATH] = CONTENT
    return hub


def downloads(hub) -> list[str | None]:
    """The Range of every request for content."""
    return [asked for method, path, asked in hub.asked if (method, path) == ("GET", PATH)]


def partials(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "hub").rglob("*.ipt-partial"))


def test_fetched_once_into_the_layout_of_the_hub_s_own_library(hub, tmp_path):
    place = fetch(ITEM)
    assert place.read_bytes() == CONTENT and cached(ITEM) == place and not partials(tmp_path)
    assert place.resolve().name == DIGEST
    assert downloads(hub) == [None]
    asked = len(hub.asked)
    assert fetch(ITEM) == place and len(hub.asked) == asked
    cache = tmp_path / "hub"
    assert Path(huggingface_hub.hf_hub_download(ITEM.repository, ITEM.file, cache_dir=cache)) == place
    fetch(ITEM, again=True)
    assert downloads(hub) == [None, None] and place.read_bytes() == CONTENT


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub):
    hub.breaks = [1_000_000, 500_000, 0, 0]
    assert fetch(ITEM).read_bytes() == CONTENT
    assert downloads(hub) == [None, "bytes=1000000-", "bytes=1500000-", "bytes=1500000-", "bytes=1500000-"]


def test_a_server_that_cannot_go_on_in_the_middle_sends_everything_again(hub):
    hub.breaks, hub.ranges = [1_000_000], False
    assert fetch(ITEM).read_bytes() == CONTENT


def test_a_connection_that_always_breaks_is_given_up_and_what_came_is_kept(hub, tmp_path):
    hub.breaks = [2_000_000, *[0] * 10]
    with pytest.raises(Lacking, match="the connection ended after 2,000,000 of 3,072,000 bytes") as caught:
        fetch(ITEM)
    assert len(str(caught.value).splitlines()) == 2 and cached(ITEM) is None
    assert [path.stat().st_size for path in partials(tmp_path)] == [2_000_000]
    hub.breaks, hub.asked = [], []
    assert fetch(ITEM).read_bytes() == CONTENT and downloads(hub) == ["bytes=2000000-"]


def test_a_killed_download_is_continued(hub, tmp_path):
    # A part comes, then nothing, and the process is killed.
    hub.breaks, hub.pauses = [1_048_576], [0, 60]
    script = "from ipt.priors.published import *; fetch(PUBLISHED['ffhq'])"
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "hub")}
    child = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size == 1_048_576 for path in partials(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    hub.pauses, hub.asked = [], []
    assert fetch(ITEM).read_bytes() == CONTENT and downloads(hub) == ["bytes=1048576-"]


def test_other_content_than_promised_is_refused_and_removed(hub, tmp_path):
    hub.swapped = CONTENT[::-1]
    with pytest.raises(IptError, match=r"is not what .* promises"):
        fetch(ITEM)
    assert cached(ITEM) is None and not partials(tmp_path)
    hub.swapped = CONTENT + b"more"
    with pytest.raises(IptError, match="3,072,004 bytes came"):
        fetch(ITEM)
    assert cached(ITEM) is None and not partials(tmp_path)


def test_no_such_file(hub):
    del hub.files[PATH]
    with pytest.raises(Lacking, match="could not fetch") as caught:
        fetch(ITEM)
    assert "404" in str(caught.value) and len(str(caught.value).splitlines()) == 2


def test_a_slow_server_is_waited_for_and_a_dead_one_is_not(hub, monkeypatch):
    hub.pauses = [0.5]
    assert fetch(ITEM).read_bytes() == CONTENT
    hub.pauses = [30] * 10
    monkeypatch.setattr(download, "_PATIENCE", 0.2)
    with pytest.raises(Lacking, match="timed out"):
        fetch(ITEM, again=True)
    # What was there is still there.
    assert cached(ITEM) is not None and sha256(cached(ITEM)) == DIGEST


def test_offline_means_no_request(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Lacking, match="HF_HUB_OFFLINE is set"):
        fetch(ITEM)
    assert hub.asked == []


def test_a_full_disk(hub, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(IptError, match=r"needs 3,072,000 bytes .* has 1,000: set HF_HOME"):
        fetch(ITEM)
