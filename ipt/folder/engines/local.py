"""Workers on this machine: a process each, one a GPU.

They are started afresh (spawned), so that none inherits a GPU's state or a lock. A worker ends when this process does,
however that comes about: it watches the pipe between them.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from ipt.folder.engines.worker import Lost, Report, Setup, Worker
from ipt.folder.work import Job

_GRACE = 5.0
"""Seconds that a process has to end when it is told to."""


@dataclass(frozen=True)
class _Member:
    process: BaseProcess
    pipe: Connection


class LocalTeam:
    """A `ipt.folder.engines.crew.Team`; devices: of each worker. They share this process's number of threads."""

    def __init__(self, setup: Setup, devices: Sequence[str]):
        self.setup, self.devices, self.size = setup, devices, len(devices)
        self.kind = torch.device(devices[0]).type
        self._threads = max(1, torch.get_num_threads() // len(devices))
        self._members: dict[int, _Member] = {}
        self._heard: deque[tuple[int, Report]] = deque()

    def hire(self, number: int) -> None:
        spawning = multiprocessing.get_context("spawn")
        ours, theirs = spawning.Pipe()
        setup = replace(self.setup, options=replace(self.setup.options, device=self.devices[number]))
        process = spawning.Process(target=_serve, args=(theirs, setup, self._threads), daemon=True)
        process.start()
        # Only the worker holds that end now, so its death shows here as the end of the pipe.
        theirs.close()
        self._members[number] = _Member(process, ours)

    def assign(self, number: int, jobs: Sequence[Job], resume: bool) -> None:
        # One that is lost meanwhile is heard of next.
        with suppress(OSError):
            self._members[number].pipe.send((tuple(jobs), resume))

    def next(self) -> tuple[int, Report]:
        while not self._heard:
            numbers = {member.pipe: number for number, member in self._members.items()}
            for pipe in wait(list(numbers)):
                assert isinstance(pipe, Connection)
                number = numbers[pipe]
                try:
                    self._heard.append((number, pipe.recv()))
                except (EOFError, OSError):
                    self._heard.append((number, Lost(self._dismissed(number))))
        return self._heard.popleft()

    def close(self) -> None:
        for member in self._members.values():
            member.process.terminate()
        for number in list(self._members):
            self._dismissed(number)

    def _dismissed(self, number: int) -> str:
        """How a worker ended, whose end is due."""
        member = self._members.pop(number)
        member.process.join(_GRACE)
        if member.process.exitcode is None:
            member.process.kill()
            member.process.join()
        member.pipe.close()
        code = member.process.exitcode or 0
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _serve(pipe: Connection, setup: Setup, threads: int) -> None:
    """A worker process: what comes through the pipe is solved, and reported through it."""
    # Ctrl-C goes to all processes of a terminal; the one that started them ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    shares: queue.Queue[tuple[tuple[Job, ...], bool]] = queue.Queue()

    def receive() -> None:
        try:
            while True:
                shares.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    worker = Worker(pipe.send)
    worker.start(setup)
    while True:
        worker.solve(*shares.get())
