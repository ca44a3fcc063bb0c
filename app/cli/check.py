"""``sms-router check``: whether the router could start as it is configured."""

from __future__ import annotations

import typer

from app.cli.situation import load_rules, settings_for_command
from app.cli.speaking import AsJson, counted, out, print_json
from app.mistakes import SettingsError


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
        table = load_rules(settings).table
    except SettingsError as error:
        if not as_json:
            raise
        print_json({"good": False, "mistakes": list(error.mistakes), "warnings": []})
        raise typer.Exit(1) from error
    warnings = [str(shadowing) for shadowing in table.shadowed()]
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
