"""`ipt weights`, on a cache of the test's own; downloads themselves: tests/priors/test_download.py."""

from __future__ import annotations

import hashlib
import json

import pytest
from click.testing import CliRunner
from huggingface_hub import constants

from ipt.cli.main import cli
from ipt.priors.published import LEDGER, PUBLISHED

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


@pytest.fixture
def fetched(cache):
    """ffhq's file, as a download leaves it."""
    folder = cache / "models--deepinv--diffunet"
    place = folder / "snapshots" / "0123abcd" / PUBLISHED["ffhq"].file
    for path, content in ((folder / "refs" / "main", b"0123abcd"), (folder / "blobs" / DIGEST, CONTENT)):
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    place.parent.mkdir(parents=True)
    place.symlink_to(folder / "blobs" / DIGEST)
    return place


def run(*arguments: str):
    return CliRunner().invoke(cli, ["weights", *arguments])


def test_the_list_says_where_each_is(cache, fetched):
    shown = run("list").stdout
    where = {line.split()[0]: line for line in shown.splitlines() if line[:1].isalpha()}
    assert (
        "  in the package  " in where["faces"] and "  here  " in where["ffhq"] and "  not here  " in where["imagenet"]
    )
    # It fits into a terminal: what is long, such as a path, is in --json.
    assert max(map(len, shown.splitlines())) < 130 and str(fetched) not in shown
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert {"faces", "kernel", "ffhq", "imagenet"} <= set(rows)
    assert (rows["ffhq"]["path"], rows["ffhq"]["bytes"]) == (str(fetched), len(CONTENT))
    assert rows["imagenet"]["path"] is None and rows["faces"]["bytes"] > 1e6 and "256x256" in rows["ffhq"]["card"]


def test_what_is_here_is_found_and_verified(cache, fetched):
    assert run("path", "ffhq").stdout.strip() == run("get", "ffhq").stdout.strip() == str(fetched)
    assert json.loads((cache / LEDGER).read_text()) == {PUBLISHED["ffhq"].key: DIGEST}
    assert DIGEST in run("verify").stdout and DIGEST in run("verify", "ffhq").stdout
    fetched.resolve().write_bytes(b"worn")
    for arguments in (("verify",), ("get", "ffhq")):
        result = run(*arguments)
        assert result.exit_code == 1 and "is damaged" in result.stderr and "--again" in result.stderr


def test_a_network_of_one_s_own_is_read_and_described(cache, tmp_path):
    shipped = run("path", "kernel").stdout.strip()
    said = run("verify", shipped, "kernel").stdout.splitlines()
    assert len(said) == 2 and "1 channel" in said[0] and said[0].removeprefix(shipped) == said[1].removeprefix("kernel")
    (tmp_path / "no.safetensors").write_bytes(b"0" * 100)
    bad = run("verify", str(tmp_path / "no.safetensors"))
    assert bad.exit_code == 1 and "no.safetensors" in bad.stderr and "Traceback" not in bad.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("path", "imagenet"), 1, "ipt weights get imagenet"),
        (("verify", "imagenet"), 1, "ipt weights get imagenet"),
        (("path", "face"), 2, "did you mean 'faces'?"),
        (("get", "fhq"), 2, "did you mean 'ffhq'?"),
        (("get", "faces"), 2, "included in the package: there is nothing to fetch"),
        (("get", "imagenet"), 1, "HF_HUB_OFFLINE is set"),
    ],
)
def test_what_is_not_here_is_said(cache, arguments, code, said):
    result = run(*arguments)
    assert result.exit_code == code and said in result.stderr and "Traceback" not in result.stderr
    assert not list(cache.iterdir())


def test_nothing_to_verify(cache):
    assert "No published weights are here" in run("verify").stdout
