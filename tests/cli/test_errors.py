"""Exceptions become one message on standard error and an exit code."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import click
import pytest

from ipt.cli.errors import _OPTIONS, exit_code_of
from ipt.cli.main import COMMANDS, cli
from ipt.core.errors import IptError


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


def raising(error: BaseException):
    def call():
        raise error

    return call


RAISED = raising.__code__.co_firstlineno + 2


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (IptError("no such prior [x]\nname another"), 1, "Error: no such prior [x]\nname another\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (KeyboardInterrupt("It goes on."), 130, "Interrupted. It goes on.\n"),
        (click.Abort(), 130, "Interrupted.\n"),
        (click.ClickException("no"), 1, "Error: no\n"),
        (click.UsageError("what?"), 2, "Error: what?\n"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/out/a.png"),
            1,
            "Error: no space left on the disk: /out/a.png\n"
            "Free some space, or choose another place, and run it again.\n",
        ),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), b"/root/a.png"),
            1,
            "Error: not permitted: /root/a.png\nChoose a place you may read and write, or change its permissions.\n",
        ),
        (
            FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "a.partial", None, "a.png"),
            1,
            "Error: no such file or folder: a.partial -> a.png\nCheck the path.\n",
        ),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "out"), 1, "Error: Is a directory: out\n"),
        (OSError("cannot identify image file"), 1, "Error: cannot identify image file\n"),
        (
            ZeroDivisionError("division by zero"),
            1,
            f"Error: unexpected ZeroDivisionError: division by zero ({__file__}, line {RAISED})\n"
            "Set IPT_TRACEBACK=1 for the traceback, and report it with that.\n",
        ),
    ],
)
def test_message_and_code(error, code, said, capsys):
    assert exit_code_of(raising(error)) == code
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == said


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_out_of_memory(error, capsys):
    assert exit_code_of(raising(error)) == 1
    assert capsys.readouterr().err.startswith("Error: out of memory\nUse smaller images")


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), ("", False)])
def test_a_traceback_on_request(value, shown, capsys, monkeypatch):
    monkeypatch.setenv("IPT_TRACEBACK", value)
    assert exit_code_of(raising(IptError("a fault"))) == 1
    assert ("Traceback (most recent call last)" in capsys.readouterr().err) is shown


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3), (True, 0), ("text", 0)])
def test_what_a_command_returns_is_its_code_if_a_whole_number(result, code):
    assert exit_code_of(lambda: result) == code


def test_an_exit_passes_through():
    with pytest.raises(SystemExit) as caught:
        exit_code_of(raising(SystemExit(3)))
    assert caught.value.code == 3


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_behind_standard_output():
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "ipt", "list"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: no space left on the disk") and len(done.stderr.splitlines()) == 2


def test_a_closed_pipe_is_no_fault():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "ipt", "list"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 1 and done.stderr == ""


@pytest.mark.parametrize(
    ("message", "typed"),
    [
        ("another folder (out=), or replace it (force=True)", "another folder (-o), or replace it (--force)"),
        ("choose fit=crop, fit=resize or precision=bf16.", "choose --fit crop, --fit resize or --precision bf16."),
        ("more than noise: noise=0.017; another seed=", "more than noise: --noise 0.017; another --seed"),
        ("name a folder of them (pictures=), engine=local:1", "name a folder of them (--images), --engine local:1"),
        ("kernel=NAME, operator.kernel_size=9, outfit=3", "kernel=NAME, operator.kernel_size=9, outfit=3"),
    ],
)  # fmt: skip
def test_arguments_of_the_library_are_options_on_the_command_line(message, typed, capsys):
    assert exit_code_of(raising(IptError(message))) == 1
    assert capsys.readouterr().err == f"Error: {typed}\n"


def test_they_are_options_of_some_command():
    options = {
        name
        for command in COMMANDS
        for param in cli.get_command(click.Context(cli), command).params
        for name in (*param.opts, *param.secondary_opts)
    }
    assert set(_OPTIONS.values()) <= options
