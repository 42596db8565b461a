"""Logs of shards: one process each, and whether it is still at work."""

from __future__ import annotations

import json

import pytest

from ipt.core.errors import IptError
from ipt.folder import log
from ipt.folder.log import Log, is_alive
from ipt.folder.shards import Shard, parsed
from ipt.folder.status import read_status


def events(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_an_event(tmp_path):
    with Log(tmp_path, parsed("2/3"), 10, 4) as running:
        running.write("done", name="a.png")
        assert is_alive(running.path, events(running.path))
    found = events(tmp_path / "log" / "2-of-3.jsonl")
    assert [event["event"] for event in found] == ["start", "done", "end"]
    assert (found[0]["shard"], found[0]["total"], found[0]["own"], found[0]["locked"]) == ([2, 3], 10, 4, True)
    assert found[1]["name"] == "a.png" and not is_alive(running.path, found)
    assert not is_alive(running.path, found[:2]), "nobody holds it"


def test_after_a_kill_in_the_middle_of_a_line_a_new_one_begins(tmp_path):
    with Log(tmp_path, Shard(), 1, 1) as running:
        pass
    running.path.write_bytes(running.path.read_bytes() + b'{"event": "do')
    with Log(tmp_path, Shard(), 1, 1):
        pass
    lines = running.path.read_text().splitlines()
    assert lines[2] == '{"event": "do' and json.loads(lines[3])["event"] == "start"


def test_one_shard_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "_TRIES", 2)
    with Log(tmp_path, parsed("1/2"), 4, 2):
        with pytest.raises(IptError, match="another process is solving shard 1/2"):
            Log(tmp_path, parsed("1/2"), 4, 2)
        with Log(tmp_path, parsed("2/2"), 4, 2):
            pass
    with Log(tmp_path, parsed("1/2"), 4, 2):
        pass


def test_without_locks_a_log_that_is_written_to_is_alive(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "fcntl", None)
    with Log(tmp_path, Shard(), 4, 4) as running:
        assert read_status(tmp_path).shards[0].alive
        now = running.path.stat().st_mtime
        monkeypatch.setattr("ipt.folder.log.time.time", lambda: now + 3600)
        assert not read_status(tmp_path).shards[0].alive


def test_a_log_that_cannot_be_written(tmp_path):
    (tmp_path / "log").write_text("in the way")
    with pytest.raises(IptError, match="choose another output folder"):
        Log(tmp_path, Shard(), 1, 1)
