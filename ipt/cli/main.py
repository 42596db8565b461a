"""The command `ipt`: a group whose subcommands are imported when they are called, so that help is instant.

Its own subcommands are in `COMMANDS`; those of plugins are looked up only for other names.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click

from ipt import __version__
from ipt.cli.errors import exit_code_of
from ipt.core.errors import IptError
from ipt.plugins.component import COMMAND
from ipt.plugins.discovery import discover
from ipt.plugins.faults import one_line
from ipt.plugins.registry import Entry
from ipt.plugins.suggestions import advice

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "solve": ("ipt.cli.solve:solve", "Recover images, and what degraded them, from measurements."),
        "app": ("ipt.cli.app:app", "Work on pictures on a page in the browser."),
        "status": ("ipt.cli.status:status", "Show the progress of a folder's run, over all its shards."),
        "simulate": ("ipt.cli.simulate:simulate", "Degrade clean images, keeping the truth."),
        "bench": ("ipt.cli.bench:bench", "Compare solvers on simulated data, with baselines and intervals."),
        "weights": ("ipt.cli.weights:weights", "List, fetch and verify the weights of networks."),
        "train": ("ipt.cli.train:train", "Train a diffusion prior from images or from a generator."),
        "list": ("ipt.cli.listing:list_components", "List operators, priors, guidance rules and generators."),
        "show": ("ipt.cli.listing:show_component", "Explain one component and its options."),
        "cite": ("ipt.cli.cite:cite", "Print the BibTeX of what a run used."),
        "check": ("ipt.cli.check:check", "Check that components keep the promises of their kind."),
        "new-plugin": ("ipt.cli.new_plugin:new_plugin", "Write a package with a working plugin, to start from."),
        "plugins": ("ipt.cli.listing:list_plugins", "List plugins, and why one was not loaded."),
    }
)
"""Name -> ("module:attribute", one line of help)."""


class LazyGroup(click.Group):
    """Commands come from COMMANDS and from plugins; errors become a message on standard error and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list({**COMMANDS, **_offered()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, or None; IptError if two plugins offer it, or it cannot be imported."""
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        registry = discover(COMMANDS)
        return _loaded(registry.find(COMMAND, cmd_name)) if registry.has(COMMAND, cmd_name) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0])
        if command is None and not args[0].startswith("-"):
            registry = discover(COMMANDS)
            known = [entry.name for entry in registry.of_kind(COMMAND)]
            ctx.fail(f"there is no command {args[0]!r}{advice(args[0], known, 'commands')}{registry.suspects()}")
        return super().resolve_command(ctx, args) if command is None else (args[0], command, args[1:])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, IptError, OSError, MemoryError):
            raise
        except Exception as error:
            name = ctx.invoked_subcommand or ""
            if name in COMMANDS:
                raise
            owner = discover(COMMANDS).find(COMMAND, name).owner
            raise IptError(
                f"command {name!r} of {owner} failed: {one_line(error)}\n"
                f"Set IPT_TRACEBACK=1 for the traceback, and report it to the authors of {owner}."
            ) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])
        offered = {name: summary for name, summary in _offered().items() if name not in COMMANDS}
        if offered:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(list(offered.items()))

    def main(  # type: ignore[override]
        self, args: Any = None, prog_name: str | None = None, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        def call() -> Any:
            return super(LazyGroup, self).main(args, prog_name or "ipt", standalone_mode=False, **extra)

        return sys.exit(exit_code_of(call)) if standalone_mode else call()


def _offered() -> dict[str, str]:
    """The commands of plugins, with a line of help each; a name that two plugins offer is marked as unusable."""
    registry = discover()
    return {entry.name: f"{entry.component.summary}{registry.conflict(entry)}" for entry in registry.of_kind(COMMAND)}


def _loaded(entry: Entry) -> click.Command:
    """Import a plugin's command; IptError, naming the plugin, if it is no click command."""
    command: Any = entry.load()
    if not isinstance(command, click.Command):
        raise IptError(
            f"command {entry.name!r} of {entry.owner} is not a click command: {entry.factory_name} is a "
            f"{type(command).__name__}\nReport it to the authors of {entry.owner}."
        )
    return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Recover images from degraded measurements, together with what degraded them."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 error, 2 usage, 3 finished with some images failed, 130 interrupted."""
    cli()
