"""A pool of worker processes on this machine, one per GPU.

They are spawned, so that none inherits a GPU's state or a lock. A worker ends when this process does, however that
happens: it reads the pipe between them in a thread.
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

from ipt.folder.inputs import InputImage
from ipt.folder.workers.worker import Lost, Message, Worker, WorkerSetup

_GRACE = 5.0
"""Seconds that a process has to end after it was told to."""


@dataclass(frozen=True)
class _Process:
    process: BaseProcess
    pipe: Connection


class LocalPool:
    """A `WorkerPool` of processes, which share this process's number of threads.

    Args:
        setup: of every worker, but for the device.
        devices: of each worker.
    """

    def __init__(self, setup: WorkerSetup, devices: Sequence[str]):
        self.setup, self.devices, self.size = setup, devices, len(devices)
        self.kind = torch.device(devices[0]).type
        self._threads = max(1, torch.get_num_threads() // len(devices))
        self._processes: dict[int, _Process] = {}
        self._received: deque[tuple[int, Message]] = deque()

    def start(self, number: int) -> None:
        spawning = multiprocessing.get_context("spawn")
        ours, theirs = spawning.Pipe()
        setup = replace(self.setup, options=replace(self.setup.options, device=self.devices[number]))
        process = spawning.Process(target=_serve, args=(theirs, setup, self._threads), daemon=True)
        process.start()
        # Now only the worker holds its end of the pipe, which closes when the worker dies.
        theirs.close()
        self._processes[number] = _Process(process, ours)

    def submit(self, number: int, inputs: Sequence[InputImage], resume: bool) -> None:
        # If the worker has died meanwhile, the next `receive` returns that.
        with suppress(OSError):
            self._processes[number].pipe.send((tuple(inputs), resume))

    def receive(self) -> tuple[int, Message]:
        while not self._received:
            numbers = {member.pipe: number for number, member in self._processes.items()}
            for pipe in wait(list(numbers)):
                assert isinstance(pipe, Connection)
                number = numbers[pipe]
                try:
                    self._received.append((number, pipe.recv()))
                except (EOFError, OSError):
                    self._received.append((number, Lost(self._ended(number))))
        return self._received.popleft()

    def close(self) -> None:
        for member in self._processes.values():
            member.process.terminate()
        for number in list(self._processes):
            self._ended(number)

    def _ended(self, number: int) -> str:
        """Wait for a worker to end, kill it if it does not, and say how it ended."""
        member = self._processes.pop(number)
        member.process.join(_GRACE)
        if member.process.exitcode is None:
            member.process.kill()
            member.process.join()
        member.pipe.close()
        code = member.process.exitcode or 0
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _serve(pipe: Connection, setup: WorkerSetup, threads: int) -> None:
    """The main function of a worker process: solves the inputs from the pipe, and sends messages back through it."""
    # Ctrl-C goes to all processes of a terminal; the parent process ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)
    chunks: queue.Queue[tuple[tuple[InputImage, ...], bool]] = queue.Queue()

    def receive() -> None:
        try:
            while True:
                chunks.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    worker = Worker(pipe.send)
    worker.start(setup)
    while True:
        worker.solve(*chunks.get())
