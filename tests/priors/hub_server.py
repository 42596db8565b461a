"""A server on this machine that answers as the Hugging Face hub does, and misbehaves on request."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """files: by path, "/owner/name/resolve/main/file". breaks: the next answers end after so many bytes. pauses:
    seconds before the next answers' bodies. swapped: what is sent instead of the file. ranges: whether it can go on in
    the middle. asked: (method, path, Range) of each request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.breaks: list[int] = []
        self.swapped: bytes | None = None
        self.pauses: list[float] = []
        self.ranges = True
        self.asked: list[tuple[str, str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        hub, asked = self.server, self.headers.get("Range")
        hub.asked.append((self.command, self.path, asked))
        whole = hub.files.get(self.path)
        if whole is None:
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        sent = whole if hub.swapped is None or not body else hub.swapped
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and hub.ranges and body else 0
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(whole).hexdigest()}"')
        self.send_header("Content-Length", str(len(sent) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(sent) - 1}/{len(sent)}")
        self.end_headers()
        if body:
            time.sleep(hub.pauses.pop(0) if hub.pauses else 0)
            stop = start + hub.breaks.pop(0) if hub.breaks else len(sent)
            self.wfile.write(sent[start:stop])

    def log_message(self, *said: Any) -> None:
        pass


@contextmanager
def running() -> Iterator[Hub]:
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
