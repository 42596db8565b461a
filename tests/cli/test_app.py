"""What `ipt app` says where it cannot serve its page; the page itself: tests/app."""

from __future__ import annotations

import socket
import sys

import pytest
from click.testing import CliRunner

from ipt.cli.errors import ERROR, exit_code_of
from ipt.cli.main import cli


def run(*arguments: str) -> int:
    return exit_code_of(lambda: cli.main(["app", "--no-browser", *arguments], standalone_mode=False))


def test_a_port_that_is_taken_is_answered_with_another(capsys):
    pytest.importorskip("nicegui")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run("--port", str(port)) == ERROR
    assert f"port {port} cannot be used" in (said := capsys.readouterr().err) and "--port" in said


def test_without_the_extra_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "nicegui", None)
    assert run() == ERROR
    assert "pip install nicegui" in capsys.readouterr().err


def test_a_port_that_there_is_none_of_is_usage():
    result = CliRunner().invoke(cli, ["app", "--port", "70000"])
    assert result.exit_code == 2 and "70000" in result.stderr
