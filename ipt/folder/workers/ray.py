"""A pool of workers on a Ray cluster: actors with one GPU each, or one CPU each if the cluster has no GPU.

Ray's own ActorPool gives work to dead actors. Here the work of a lost actor goes to others (`PoolBackend`), and a new
actor is requested, which starts as soon as the cluster has resources for it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ipt.core.errors import IptError
from ipt.folder.inputs import InputImage
from ipt.folder.workers.worker import Fatal, Idle, Lost, Message, Worker, WorkerSetup

_PATIENCE = 300.0
"""Seconds that a run waits for its first worker."""


def load_ray() -> Any:
    """Import the package ray; IptError if it is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise IptError("the engine ray needs Ray, which is not installed\npip install 'inverse-problem-toolkit[ray]'")
    return importlib.import_module("ray")


class RayPool:
    """A `WorkerPool` on the cluster of RAY_ADDRESS or one that runs on this machine; else on a new local cluster.

    Args:
        ray: the package.
        setup: of every worker.
        asked: number of workers; None: the number of GPUs, or of CPUs if there are no GPUs.

    Raises:
        IptError: RAY_ADDRESS is set, and there is no such cluster.
    """

    def __init__(self, ray: Any, setup: WorkerSetup, asked: int | None):
        self._ray, self.setup = ray, setup
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray)
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0)) if setup.options.device != "cpu" else 0
        self.kind = "cuda" if gpus else "cpu"
        self.size = asked or gpus or max(1, int(resources.get("CPU", 1)))
        # PoolBackend handles lost actors, so Ray must neither restart them nor repeat their calls.
        self._actor = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0, max_restarts=0, max_task_retries=0)(_Actor)
        self._actors: dict[int, Any] = {}
        self._streams: dict[int, Any] = {}
        self._ready: set[int] = set()

    def start(self, number: int) -> None:
        self._actors[number] = self._actor.remote()
        self._streams[number] = self._actors[number].start.remote(self.setup)

    def submit(self, number: int, inputs: Sequence[InputImage], resume: bool) -> None:
        self._streams[number] = self._actors[number].solve.remote(tuple(inputs), resume)

    def receive(self) -> tuple[int, Message]:
        while True:
            ready, _ = self._ray.wait(list(self._streams.values()), num_returns=1, timeout=_PATIENCE, fetch_local=True)
            if not ready:
                if self._ready:
                    continue
                raise IptError(
                    f"the Ray cluster started no worker in {_PATIENCE:.0f} s; `ray status` says what it has, "
                    f"and each worker takes one {'GPU' if self.kind == 'cuda' else 'CPU'}"
                )
            number = next(number for number, stream in self._streams.items() if stream is ready[0])
            # Put back at the end, so that the others' messages are read before its next one.
            stream = self._streams.pop(number)
            try:
                message = self._ray.get(next(stream))
            except StopIteration:
                continue
            except self._ray.exceptions.RayError as error:
                self._ready.discard(number)
                self._ray.kill(self._actors.pop(number))
                return number, Lost(" ".join(str(error).split())[:120])
            if isinstance(message, Idle):
                self._ready.add(number)
            else:
                self._streams[number] = stream
            return number, message

    def close(self) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor)
        if self._ours:
            self._ray.shutdown()


class _Actor:
    """A Ray actor, in a process of the cluster, whose calls stream their messages."""

    def __init__(self) -> None:
        self._messages: queue.Queue[Message] = queue.Queue()
        self._worker = Worker(self._messages.put)

    def start(self, setup: WorkerSetup) -> Iterator[Message]:
        yield from self._stream(self._worker.start, setup)

    def solve(self, inputs: Sequence[InputImage], resume: bool) -> Iterator[Message]:
        yield from self._stream(self._worker.solve, inputs, resume)

    def _stream(self, act: Callable[..., None], *arguments: Any) -> Iterator[Message]:
        threading.Thread(target=act, args=arguments, daemon=True).start()
        while True:
            message = self._messages.get()
            yield message
            if isinstance(message, Idle | Fatal):
                return


def _connect(ray: Any) -> None:
    # Else Ray would send usage statistics about a cluster that is started here.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"log_to_driver": False, "logging_level": "warning"}
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError as error:
        if os.environ.get("RAY_ADDRESS"):
            raise IptError(
                f"no Ray cluster at RAY_ADDRESS={os.environ['RAY_ADDRESS']} ({str(error)[:80]}); start it, or unset it"
            ) from error
        ray.init(include_dashboard=False, **quiet)
