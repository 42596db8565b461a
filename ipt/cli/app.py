"""`ipt app`: a local server for the page of `ipt.app.page`."""

from __future__ import annotations

import logging
import socket
import tempfile
import warnings
import webbrowser
from pathlib import Path
from threading import Timer

import click

from ipt.cli.console import notes
from ipt.core.errors import IptError
from ipt.extras import imported

_HOST = "127.0.0.1"


@click.command("app")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8321, show_default=True, help="Port of the page's address."
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
def app(port: int, no_browser: bool) -> None:
    """Work on pictures on a page in the browser.

    It is served to this computer only, at http://127.0.0.1:PORT, and loads nothing from elsewhere. Ctrl-C ends it.
    """
    imported("nicegui", "ui")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise IptError(f"port {port} cannot be used ({error.strerror}): give another one with --port") from error
    notes().print(f"The page is at http://{_HOST}:{port}; Ctrl-C ends it.")
    if not no_browser:
        Timer(1, webbrowser.open, [f"http://{_HOST}:{port}"]).start()
    _serve(port)


def _serve(port: int) -> None:
    """Serve a page of its own to every visitor, until the process is interrupted."""
    import uvicorn
    from fastapi import FastAPI
    from nicegui import ui

    from ipt.app.page import Page

    with tempfile.TemporaryDirectory(prefix="ipt-app-") as folder:
        server = FastAPI(openapi_url=None)
        ui.page("/")(lambda: Page(Path(tempfile.mkdtemp(dir=folder))))
        # When it starts, nicegui inspects all live objects, and torch warns about some of its own.
        warnings.filterwarnings("ignore", category=FutureWarning, module="nicegui")
        # nicegui logs slow event loops, which a solve causes.
        logging.getLogger("nicegui").setLevel(logging.ERROR)
        ui.run_with(server, title="ipt", dark=None, show_welcome_message=False)
        uvicorn.run(server, host=_HOST, port=port, log_level="warning")
