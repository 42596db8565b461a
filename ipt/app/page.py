"""The page of `ipt app`: pictures and options on the left, the picture that is solved and its results on the right."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote

from nicegui import app, events, run, ui
from PIL.Image import Image

from ipt.app.solving import Result, Solve, Stopped, plain
from ipt.core.errors import IptError
from ipt.images.choices import FIT_CHOICES
from ipt.images.exposures import read_any
from ipt.images.marks import Marks
from ipt.images.pictures import screen_picture
from ipt.plugins.discovery import discover
from ipt.plugins.documentation import documentation_of
from ipt.plugins.faults import located
from ipt.plugins.options import signature_of
from ipt.report.embedding import data_uri
from ipt.solve.verdict import is_good

COMPARE = """<div class="compare"><img src="{result}" alt="result"><img class="before" src="{input}" alt="input">
<span class="divider"></span><span class="tag left">input</span><span class="tag right">result</span>
<input type="range" value="50" aria-label="Input on the left, result on the right"
oninput="this.parentElement.style.setProperty('--at', this.value + '%')"></div>"""
FIGURE = '<figure><img src="{0}" alt="{1}"><figcaption>{1}</figcaption></figure>'
TOOLS = {"look": "Look", "region": "Mark a region", "mask": "Paint what not to trust"}


@dataclass
class Shot:
    """A picture that was dropped.

    Attributes:
        path: Of its file.
        shown: The picture on the screen.
        several: Whether the file has several pages.
        marks: The mask and region that were drawn on it.
        results: The latest first.
    """

    path: Path
    shown: Image
    several: bool
    marks: Marks
    results: list[Result] = field(default_factory=list)


class Page:
    """The page of one visitor; folder: for the visitor's files, removed when the visitor leaves."""

    def __init__(self, folder: Path):
        self.folder, self.out, self.address = folder, folder / "results", f"/results/{folder.name}"
        self.out.mkdir()
        app.add_static_files(self.address, self.out)
        ui.context.client.on_delete(self.close)
        self.shots: list[Shot] = []
        self.shot: Shot | None = None
        self.solve: Solve | None = None
        self.runs, self.tool = 0, "look"
        styles = (files("ipt.report") / "templates/pictures.css", files("ipt.app") / "page.css")
        ui.add_css("\n".join(style.read_text(encoding="utf-8") for style in styles))
        ui.colors(primary="#1f7ae0")
        with ui.element("div").classes("page"):
            with ui.element("aside").classes("card"):
                ui.html("<h1>ipt</h1><p>Recover a picture, and what degraded it. Nothing leaves this computer.</p>")
                ui.upload(label="Drop pictures here, or +", multiple=True, auto_upload=True, on_upload=self.add)
                self.shelf = ui.row().classes("shelf")
                self.burst = ui.switch("They are exposures of one scene")
                self.choices()
                with ui.row():
                    ui.button("Start", on_click=self.start).bind_enabled_from(self, "solve", lambda one: one is None)
                    self.stop = ui.button("Stop", on_click=lambda: self.solve and self.solve.stop.set())
                    self.stop.props("outline").bind_visibility_from(self, "solve", lambda one: one is not None)
            self.work = ui.element("section").classes("card")
        ui.timer(0.3, self.tick)
        self.show()

    def close(self) -> None:
        """Stop the solve and remove the files, when the visitor leaves."""
        if self.solve is not None:
            self.solve.stop.set()
        app.remove_route(self.address)
        shutil.rmtree(self.folder, ignore_errors=True)

    def choices(self) -> None:
        """Build the fields for the operator and the other arguments of `ipt.restore`."""
        operators = {each.name: f"{each.name}: {each.component.summary}" for each in discover().of_kind("operator")}
        priors = {"": "the usual one"} | {each.name: each.name for each in discover().of_kind("prior")}
        self.operator = ui.select(operators, value="blur", label="What degraded it", new_value_mode="add-unique")
        self.expansion = ui.expansion("Options")
        with ui.expansion("More"):
            self.values = {
                "prior": ui.select(priors, value="", label="What pictures are like", new_value_mode="add-unique"),
                "noise": ui.number("Noise, of 0..1 (empty: estimated)", min=0, max=1, format="%g"),
                "samples": ui.number("Draws, all shown (samples)", value=1, min=1, precision=0),
                "effort": ui.number("Draws while likely wrong (effort)", value=3, min=1, precision=0),
                "steps": ui.number("Steps (empty: as usual)", min=1, precision=0),
                "seed": ui.number("Seed", value=0, min=0, precision=0),
                "fit": ui.select(list(FIT_CHOICES), value="error", label="If the prior takes other sizes (fit)"),
            }
        self.options()
        self.operator.on_value_change(self.options)

    def options(self) -> None:
        """Build the fields for the operator's options, from its signature."""
        self.expansion.clear()
        self.settings: dict[str, ui.input] = {}
        for factory in [each.load() for each in discover().of_kind("operator") if each.name == self.operator.value]:
            meanings = documentation_of(factory).options
            for option in signature_of(factory).options:
                with self.expansion:
                    usual = "required" if option.required else str(option.default)
                    field = ui.input(option.name.replace("_", " "), placeholder=usual).props("stack-label")
                    ui.label(meanings.get(option.name, "")).classes("hint")
                self.settings[f"operator.{option.name}"] = field
        self.expansion.set_visibility(bool(self.settings))

    async def add(self, event: events.UploadEventArguments) -> None:
        """Add a picture that was dropped."""
        path = Path(mkdtemp(dir=self.folder)) / Path(event.file.name).name
        await event.file.save(path)
        try:
            frames = read_any(path)
        except IptError as error:
            return self.complain(str(error).replace(f"{path.parent}/", ""))
        size = (frames[0].shape[2], frames[0].shape[1])
        shot = Shot(path, screen_picture(frames[0].pixels), len(frames) > 1, Marks(size))
        self.shots = sorted([*self.shots, shot], key=lambda each: each.path.name)  # they come in any order
        return self.show(shot)

    def complain(self, message: str) -> None:
        """Show a message that stays until it is closed."""
        ui.notify(plain(message), type="negative", timeout=0, close_button="Close", multi_line=True)

    def arguments(self, shot: Shot) -> dict[str, Any]:
        """The arguments of `ipt.restore` from the fields."""
        given = {name: field.value for name, field in self.values.items() if field.value not in ("", None)}
        given |= {name: int(given[name]) for name in ("samples", "effort", "steps", "seed") if name in given}
        settings = {name: field.value for name, field in self.settings.items() if field.value}
        marked = {"mask": shot.marks.mask(), "region": shot.marks.region or "auto"}
        return {**given, **marked, "operator": self.operator.value, "settings": settings, "name": shot.path.name}

    async def start(self, another: bool = False) -> None:
        """Solve all pictures one after the other; another: only the one that is shown, with another seed."""
        if another:
            self.values["seed"].value = (self.values["seed"].value or 0) + 1
        if self.shot is None:
            return self.complain("Drop a picture first.")
        for shot in [self.shot] if another or self.burst.value else self.shots:
            self.solve, self.runs = Solve(), self.runs + 1
            self.show(shot)
            together = self.burst.value and len(self.shots) > 1
            picture = [each.path for each in self.shots] if together else shot.path
            given = self.arguments(shot) | {"frames": self.burst.value and not together}
            try:
                name = f"{shot.path.stem[:80]}-{self.runs}"
                shot.results[:0] = await run.io_bound(self.solve.run, picture, self.out, name, given) or ()
            except Stopped:
                return ui.notify("Stopped.")
            except Exception as error:
                self.complain(f"{shot.path.name}: {error if isinstance(error, IptError) else located(error)}")
            finally:
                self.solve = None
                self.show(shot)
        return None

    def tick(self) -> None:
        """Show the progress of the solve."""
        if self.solve is not None:
            self.bar.value, self.status.text = self.solve.share, self.solve.text
            self.preview.set_source(self.solve.preview or self.preview.source)

    def show(self, shot: Shot | None = None, result: Result | None = None) -> None:
        """Show a picture: while it is solved, or with its results and the board for marks."""
        self.shot = shot = shot or self.shot
        self.shelf.clear()
        with self.shelf:
            for each in self.shots:
                thumb = ui.image(data_uri(each.shown.resize((64, 64)), 64)).classes("chosen" if each is shot else "")
                thumb.tooltip(each.path.name).on("click", lambda _, each=each: self.show(each))
        self.burst.set_visibility(len(self.shots) > 1 or any(each.several for each in self.shots))
        self.work.clear()
        with self.work:
            if shot is None:
                ui.html("<p class='empty'>A picture that you drop is shown here.</p>")
            elif self.solve is not None:
                self.bar, self.status = ui.linear_progress(show_value=False), ui.label().props("role=status")
                self.preview = ui.image(data_uri(shot.shown)).props("no-transition no-spinner")
            else:
                if shot.results:
                    self.results(shot, result or shot.results[0])
                self.board(shot)

    def board(self, shot: Shot) -> None:
        """Show the picture, on which a mask and a region can be drawn."""
        scale = shot.shown.width / shot.marks.size[0]

        def touched(event: events.MouseEventArguments) -> None:
            begin, point = event.type == "pointerdown", (event.image_x / scale, event.image_y / scale)
            if self.tool != "look" and (begin or event.buttons):
                shot.marks.draw(self.tool, point, begin)
                board.content = shot.marks.svg(scale)

        with ui.element("div").classes("marking"):
            board = ui.interactive_image(data_uri(shot.shown), events=["pointerdown", "pointermove"], sanitize=False)
            board.on_mouse(touched).content = shot.marks.svg(scale)
            with ui.row():
                ui.toggle(TOOLS).bind_value(self, "tool").props("no-caps unelevated")
                ui.button("Clear", on_click=lambda: board.set_content(shot.marks.clear())).props("flat no-caps")

    def results(self, shot: Shot, result: Result) -> None:
        """Show a result: verdict, slider, buttons, parameters and draws."""
        at = {role: self.address + quote(f"/{path.name}") for role, path in result.files.items()}
        ui.label(plain(result.verdict)).classes("verdict good" if is_good(result.verdict) else "verdict bad")
        ui.html(COMPARE.format(**at), sanitize=False)
        with ui.row():
            ui.button("Save picture", on_click=lambda: ui.download.file(result.files["result"]))
            ui.button("Save report", on_click=lambda: ui.download.file(self.out / "report.html")).props("outline")
            ui.button("Another draw", on_click=lambda: self.start(another=True)).props("flat")
        with ui.element("div").classes("strip"):
            for role in [role for role in at if role not in ("result", "input")]:
                ui.html(FIGURE.format(at[role], role))
        if len(shot.results) > 1:
            ui.label("Choose a draw:")
            with ui.element("div").classes("strip draws"):
                for each in shot.results:
                    figure = ui.html(FIGURE.format(self.address + quote(f"/{each.files['result'].name}"), each.label))
                    figure.classes("chosen" if each is result else "")
                    figure.on("click", lambda _, each=each: self.show(shot, each))
