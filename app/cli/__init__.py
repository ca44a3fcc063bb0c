"""The commands people type: ``sms-router`` or ``python -m app``."""

from __future__ import annotations

import sys

import typer

from app.cli import explain, listings, messages, sandbox, serve, text
from app.cli.speaking import CommandError, complain
from app.toml_files import SettingsError

commands = typer.Typer(
    name="sms-router",
    help="Runs SMS keywords behind a Twilio Messaging Service: one message, one answer, the right number.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for module in (serve, text, explain, messages, listings, sandbox):
    module.register(commands)


def main() -> None:
    """Run the command line; exit 0 when all is well, 1 for a problem found, 2 for wrong use."""
    try:
        commands()
    except SettingsError as error:
        complain("The configuration has mistakes:", *error.mistakes)
        sys.exit(1)
    except CommandError as error:
        complain(*error.lines)
        sys.exit(error.code)
