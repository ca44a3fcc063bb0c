"""The commands people type: ``sms-router`` or ``python -m app``."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from sms_router.cli.output import CommandError, fail, print_error
from sms_router.errors import ConfigurationError

COMMANDS = {
    "serve": ("sms_router.cli.server.serve", "Run the router on HOST:PORT with WORKERS processes."),
    "text": ("sms_router.cli.server.text", "Send a signed text to the running router, and show its answer."),
    "explain": (
        "sms_router.cli.keywords.explain",
        "Say which rule a text belongs to and which number would answer.",
    ),
    "messages": (
        "sms_router.cli.messages.messages",
        "Show the newest messages and their answers, the story of one, or forget a person.",
    ),
    "replay": ("sms_router.cli.messages.replay", "Have dead letters answered once more."),
    "check": (
        "sms_router.cli.check.check",
        "Check the configuration, and the Messaging Services at Twilio against it.",
    ),
    "keywords": ("sms_router.cli.keywords.keywords", "List the rules; check them, and try texts on them."),
    "senders": ("sms_router.cli.senders.senders", "List the numbers that may answer."),
    "short-codes": (
        "sms_router.cli.senders.short_codes",
        "Short codes of the Messaging Service: list, show, add, remove, update.",
    ),
    "membership": ("sms_router.cli.senders.membership", "What is known of the Messaging Services."),
    "onboarding": (
        "sms_router.cli.onboarding.onboarding",
        "Numbers on their way: short-code leases and ports, and who is to act next.",
    ),
    "opt-outs": ("sms_router.cli.keywords.opt_outs", "Who has opted out: list, add, remove, import, export."),
    "sandbox": ("sms_router.cli.server.sandbox", "Run an offline Twilio: its REST API, phones and carriers."),
}
"""Where each command lies and what it does, so that only the one that is run has to be imported."""


class Commands(TyperGroup):
    """Lists every command, and imports a command when it is run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin with the names and the first sentences."""
        super().__init__(*arguments, **options)
        self.commands = {name: TyperCommand(name, help=does) for name, (_, does) in COMMANDS.items()}

    def resolve_command(
        self, ctx: Any, args: list[str]
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        """Find the command that was typed, and import it."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name else None, rest


def load_command(name: str) -> Any:
    """Import a command by its name."""
    module, _ = COMMANDS[name]
    registered = typer.Typer(add_completion=False, rich_markup_mode="rich")
    importlib.import_module(module).register(registered)
    command = get_group(registered).commands[name]
    command.help = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    return command


commands = typer.Typer(
    name="sms-router",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@commands.callback()
def _about() -> None:
    """Run SMS keywords behind a Twilio Messaging Service: one message, one answer, the right number."""


def main() -> None:
    """Run the command line; exit 0 when all is well, 1 for a problem found, 2 for wrong use."""
    if sys.stdout is None:  # the shell has closed it: >&-
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that is not UTF-8 shows what it can
    try:
        try:
            commands()
        except ConfigurationError as error:
            fail("The configuration has mistakes:", mistakes=error.mistakes)
            sys.exit(1)
        except CommandError as error:
            fail(*error.lines)
            sys.exit(error.code)
    except SystemExit:
        _flush()
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _cannot_write(error)


def _flush() -> None:
    """Write what is buffered; an error would else be told by Python itself, with an exit code of its own."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _cannot_write(error)


def _cannot_write(error: OSError) -> NoReturn:
    if error.errno != errno.EPIPE:  # a reader that has gone, such as head, is no mistake
        print_error(f"The output cannot be written: {error.strerror}.")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would fail at the end
    sys.exit(1)
