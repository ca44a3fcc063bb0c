"""``sms-router check``: whether the router could start as it is configured."""

from __future__ import annotations

import typer

from app.cli.situation import load_rules, settings_for_command
from app.cli.speaking import AsJson, counted, out, print_json
from app.mistakes import SettingsError
from app.senders.carriers import load_error_table


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("check")(check)


def check(as_json: AsJson = False) -> None:
    """Check the configuration: settings, keywords, templates and handlers.

    Exits with 1 when anything is wrong, having told all of it. Keywords that can never match are
    warnings.
    """
    try:
        settings = settings_for_command()
        rules = load_rules(settings)
        load_error_table(settings.folder)
    except SettingsError as error:
        if not as_json:
            raise
        print_json({"good": False, "mistakes": list(error.mistakes), "warnings": []})
        raise typer.Exit(1) from error
    table = rules.table
    warnings = [*map(str, table.shadowed()), *rules.taken_by_opt_outs()]
    if as_json:
        print_json({"good": True, "mistakes": [], "warnings": warnings})
        return
    for warning in warnings:
        out.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    parts = (
        counted(len(table.rules), "rule"),
        counted(len(settings.accounts), "account"),
        counted(len(settings.services), "Service"),
    )
    out.print(f"{settings.folder}: good: {', '.join(parts)}", markup=False, soft_wrap=True)
