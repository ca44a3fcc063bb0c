"""``sms-router keywords``: the rules that the router works with."""

from __future__ import annotations

import typer

from app.cli.situation import load_rules, settings_for_command
from app.cli.speaking import AsJson, print_json, print_table
from app.routing.rules import MatchKind


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("keywords")(keywords)


def keywords(as_json: AsJson = False) -> None:
    """List the rules, in the order of their precedence."""
    rules = load_rules(settings_for_command()).table.rules
    ordered = sorted(rules, key=lambda rule: list(MatchKind).index(rule.kind))
    if as_json:
        print_json(
            [
                {
                    "words": list(rule.words),
                    "match": rule.kind.value,
                    "scope": str(rule.scope),
                    "source": rule.source,
                }
                for rule in ordered
            ]
        )
        return
    rows = [(", ".join(rule.words), rule.kind.value, str(rule.scope), rule.source) for rule in ordered]
    print_table(("words", "match", "scope", "defined in"), rows)
