"""The command `ipt`: a group whose subcommands are imported when they are called, so that help is instant."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click

from ipt import __version__
from ipt.cli.errors import exit_code_of
from ipt.plugins.suggestions import advice

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "solve": ("ipt.cli.solve:solve", "Recover images, and what degraded them, from measurements."),
        "simulate": ("ipt.cli.simulate:simulate", "Degrade clean images, keeping the truth."),
        "train": ("ipt.cli.train:train", "Train a diffusion prior from images or from a generator."),
        "list": ("ipt.cli.listing:list_components", "List operators, priors, guidance rules and generators."),
        "show": ("ipt.cli.listing:show_component", "Explain one component and its options."),
        "plugins": ("ipt.cli.listing:list_plugins", "List plugins, and why one was not loaded."),
    }
)
"""Name -> ("module:attribute", one line of help)."""


class LazyGroup(click.Group):
    """Commands come from COMMANDS; errors become a message on standard error and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        return getattr(import_module(module), attribute)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}{advice(args[0], COMMANDS, 'commands')}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def main(  # type: ignore[override]
        self, args: Any = None, prog_name: str | None = None, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        def call() -> Any:
            return super(LazyGroup, self).main(args, prog_name or "ipt", standalone_mode=False, **extra)

        return sys.exit(exit_code_of(call)) if standalone_mode else call()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Recover images from degraded measurements, together with what degraded them."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 error, 2 usage, 3 finished with some images failed, 130 interrupted."""
    cli()
