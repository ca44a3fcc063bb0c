"""The command line: ``sms-router`` or ``python -m sms_router``."""

from __future__ import annotations

import errno
import gc
import importlib
import io
import os
import sys
from datetime import UTC
from enum import EnumType
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer import Option
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from sms_router.cli.output import UNLIMITED, CommandError, Noun, fail, print_error, tables
from sms_router.cli.times import shown_times
from sms_router.errors import ConfigurationError

COMMANDS = {
    "serve": ("server.serve", "Run the router on HOST:PORT with WORKERS processes."),
    "init": ("server.init", "Write a starter project: configuration, a handler, its test."),
    "text": ("server.text", "Text the running router from a phone, and show what the phone gets."),
    "send": ("server.send", "Send a message that is no reply, by the running router."),
    "explain": ("keywords.explain", "Show which rule and which sender a text would get, and why."),
    "messages": (
        "messages.messages",
        "Show the newest messages or the timeline of one; delete a contact's data.",
    ),
    "replay": ("messages.replay", "Answer dead letters again."),
    "reconcile": (
        "messages.reconcile",
        "Compare Twilio's message log with the journal, and list what never arrived.",
    ),
    "check": ("check.check", "Check the configuration, Redis and the Messaging Services at Twilio."),
    "keywords": ("keywords.keywords", "List and check the rules; try texts and files."),
    "senders": ("senders.senders", "List and manage the senders; take one out of use."),
    "short-codes": (
        "senders.short_codes",
        "List, show, add, remove and update the Service's short codes.",
    ),
    "membership": ("senders.membership", "Show and refresh the Sender Pools; show what changed."),
    "onboarding": (
        "onboarding.onboarding",
        "Track short-code leases and number ports until they are live.",
    ),
    "opt-outs": ("keywords.opt_outs", "List, add, remove, import and export opt-outs."),
    "sessions": ("server.sessions", "List the logins of the console, and end one."),
    "sandbox": ("server.sandbox", "Run an offline Twilio: REST API, phones and carriers."),
}
"""The module and the help of each command: only the command that is run is imported.

The object of the module's own name is the command: a function, or a group of commands.
"""

_GC_THRESHOLD = 50_000
"""Of the cyclic garbage collector: what is imported stays, and with Python's 700 it is visited many times."""

_HELP_OPTIONS = ["--help", "-h"]

_METAVARS: dict[object, str] = {
    bool: "",
    int: "N",
    float: "SECONDS",
    str: "TEXT",
    list[str]: "TEXT",
    Path: "FILE",
}


class Commands(TyperGroup):
    """Lists all commands, and imports the one that is run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.commands = {name: TyperCommand(name, help=text) for name, (_, text) in COMMANDS.items()}

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _name_values(self)  # typer adds the options of the completion last
        super().format_help(ctx, formatter)

    def resolve_command(
        self, ctx: Any, args: list[str]
    ) -> tuple[str | None, TyperCommand | TyperGroup | None, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name else None, rest


def load_command(name: str) -> Any:
    module, _ = COMMANDS[name]
    imported = importlib.import_module(f"{__name__}.{module}")
    command = getattr(imported, module.rpartition(".")[2])
    registered = typer.Typer(add_completion=False, rich_markup_mode="rich")
    if isinstance(command, typer.Typer):
        registered.add_typer(command, name=name)
    else:
        registered.command(name)(command)
    command = get_group(registered).commands[name]
    _finish(command)
    return command


def _finish(command: Any) -> None:
    """Name the values of a command in its help, join its lines, and add ``--wide`` and ``--utc``."""
    command.help = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    if any("--json" in parameter.opts for parameter in command.params):
        command.params = [*command.params, *get_command(_display).params]
    _name_values(command)
    inner = getattr(command, "commands", {})
    for each in inner.values():
        _finish(each)
    if isinstance(command, Noun):
        command.help += "\n\nWithout a command it lists, and takes the options of list."
        command.commands = dict(sorted(inner.items(), key=lambda item: item[0] != "list"))


def _name_values(command: Any) -> None:
    """Write in the help what an option takes, as N or TEXT, where typer writes <int>, <str> or <bool>."""
    context = typer.Context(command, help_option_names=_HELP_OPTIONS)
    for parameter in (*command.params, command.get_help_option(context)):
        is_argument = parameter.param_type_name == "argument"
        if is_argument:
            parameter.display_type_rich = lambda **_: None  # its name identifies it
        if parameter.metavar is None:
            kind = getattr(parameter.type_descriptor, "annotation", None)
            named = is_argument or kind not in _METAVARS
            parameter.metavar = parameter.name.upper() if named else _METAVARS[kind]
            if isinstance(kind, EnumType):
                members: list[Any] = list(kind)
                choices = ", ".join(member.value for member in members)
                parameter.help = f"{parameter.help.rstrip('.')}: {choices}."


_display = typer.Typer(add_completion=False)


def _use_utc(wanted: bool) -> None:
    if wanted:
        shown_times.zone = UTC


def _show_all_columns(wanted: bool) -> None:
    if wanted:
        tables.width = UNLIMITED


@_display.command()
def _show(
    wide: Annotated[
        bool,
        Option("--wide", help="Show all columns in full.", callback=_show_all_columns, expose_value=False),
    ] = False,
    utc: Annotated[
        bool, Option("--utc", help="Times in UTC, not local.", callback=_use_utc, expose_value=False)
    ] = False,
) -> None:
    """Hold the options of every command that has --json."""


commands = typer.Typer(
    name="sms-router",
    cls=Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": _HELP_OPTIONS},
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 (no other command needs it)

        typer.echo(f"sms-router {version('sms-router')}")
        raise typer.Exit


@commands.callback()
def _about(
    version: Annotated[
        bool, Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Route the inbound messages of Twilio Messaging Services to keyword rules and handlers."""


def main() -> None:
    """Run the command line; exits with 0 for success, 1 for a problem or nothing found, 2 for wrong usage."""
    gc.set_threshold(_GC_THRESHOLD)
    if sys.stdout is None:  # closed by the shell: >&-
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for terminals that are not UTF-8
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
    finally:
        gc.freeze()  # else the interpreter visits every object before it exits


def _flush() -> None:
    """Write what is buffered: Python would report an error at its exit, with another exit code."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _cannot_write(error)


def _cannot_write(error: OSError) -> NoReturn:
    if error.errno != errno.EPIPE:  # a closed pipe is not an error: head
        print_error(f"The output cannot be written: {error.strerror}.")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python fails at exit
    sys.exit(1)
