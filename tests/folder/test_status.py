"""How a folder's run goes, from the logs of its shards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ipt.core.errors import IptError
from ipt.folder.log import Log
from ipt.folder.shards import Shard, parsed
from ipt.folder.status import read_status


def written(out: Path, shard: str, *events: dict, total: int = 10, own: int = 5, start: float = 1000.0) -> Path:
    """A log as a process leaves it that nobody watches any more."""
    number, _, count = shard.partition("/")
    path = out / "log" / f"{number}-of-{count}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    begin = {"event": "start", "time": start, "shard": [int(number), int(count)], "total": total, "own": own}
    with path.open("a") as file:
        for event in (begin, *events):
            file.write(json.dumps({"time": start, **event}) + "\n")
    return path


def ended(name: str, event: str = "done", time: float = 1010.0, **more: str) -> dict:
    return {"event": event, "name": name, "time": time, **more}


def test_all_shards_are_merged_and_the_last_word_counts(tmp_path):
    written(tmp_path, "1/2", ended("a"), ended("b", "failed", reason="cut short"), ended("c", "failed"), own=5)
    written(tmp_path, "2/2", ended("d"), ended("e"), {"event": "end", "time": 1020.0})
    found = read_status(tmp_path)
    assert (found.total, found.done, found.failed, found.running, found.missing) == (10, 3, 2, 0, 5)
    assert found.failures == {"b": "cut short", "c": ""} and found.rate is None and found.seconds_left is None
    assert [(shard.shard, shard.alive, shard.ended) for shard in found.shards] == [
        ("1/2", False, False), ("2/2", False, True)
    ]  # fmt: skip
    # The next day, in another number of shards, with a picture less.
    written(tmp_path, "1/1", ended("b", time=2001.0), ended("a", "skipped", time=2002.0), start=2000.0, total=9)
    found = read_status(tmp_path)
    assert (found.total, found.done, found.failed, found.missing, found.failures) == (9, 4, 1, 4, {"c": ""})
    assert not found.complete


def test_a_running_shard(tmp_path):
    with Log(tmp_path, parsed("2/3"), 10, 4) as running:
        running.write("batch", names=["a", "b"])
        running.write("done", name="a")
        found = read_status(tmp_path)
        (shard,) = found.shards
        assert shard.alive and (found.done, found.running, found.missing) == (1, 1, 8) and shard.own == 4
        assert found.rate == shard.rate and found.rate > 0 and found.seconds_left == 9 / found.rate
        running.write("failed", name="b", reason="no memory")
        running.write("batch", names=["b"])
        assert read_status(tmp_path).failures == {} and read_status(tmp_path).running == 1
    found = read_status(tmp_path)
    assert (found.running, found.failed, found.shards[0].alive, found.shards[0].ended) == (0, 1, False, True)
    json.dumps(found.document())


def test_a_rate_is_of_what_was_solved_since_the_start(tmp_path):
    solved = [ended(str(number), time=1000.0 + 10 * number) for number in range(1, 5)]
    skipped = [ended(f"old {number}", "skipped", 1000.5) for number in range(100)]
    batch = {"event": "batch", "names": ["1"], "time": 1000.0}
    written(tmp_path, "1/1", *skipped, batch, *solved, total=200)
    assert read_status(tmp_path).shards[0].rate == pytest.approx(0.1)


def test_after_a_kill_in_the_middle_of_a_line(tmp_path):
    source = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom ipt.folder.log import Log\n"
        "from ipt.folder.shards import Shard\n"
        "log = Log(Path(sys.argv[1]), Shard(), 3, 3)\nlog.write('batch', names=['a', 'b'])\n"
        "log.write('done', name='a')\nlog._file.write(b'{\"event\": \"do')\nlog._file.flush()\n"
        "assert 'torch' not in sys.modules\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", source, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    found = read_status(tmp_path)
    assert (found.done, found.running, found.missing) == (1, 0, 2)
    assert not found.shards[0].alive and not found.shards[0].ended
    # The next process of the shard begins on a line of its own.
    with Log(tmp_path, Shard(), 3, 3) as again:
        again.write("done", name="b")
    assert read_status(tmp_path).done == 2
    lines = (tmp_path / "log" / "1-of-1.jsonl").read_text().splitlines()
    assert len(lines) == 7 and lines[3] == '{"event": "do'


def test_lines_that_are_none_of_ours_are_passed_over(tmp_path):
    path = written(tmp_path, "1/1", ended("a"))
    path.write_bytes(b'\xff\xfe\n{"event": "done"}\n[]\n' + path.read_bytes() + b"3\n\n")
    assert read_status(tmp_path).done == 1
    (tmp_path / "log" / "2-of-2.jsonl").write_text("nothing\n")
    assert len(read_status(tmp_path).shards) == 1


def test_no_logs(tmp_path):
    with pytest.raises(IptError, match="no logs"):
        read_status(tmp_path)
    os.makedirs(tmp_path / "log")
    with pytest.raises(IptError, match="no logs"):
        read_status(tmp_path)
