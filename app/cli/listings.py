"""``sms-router keywords``: the rules that the router works with."""

from __future__ import annotations

import typer

from app.cli.situation import load_rules, settings_for_command
from app.cli.speaking import AsJson, print_json, print_table
from app.routing.dispatch import RuleAnswer
from app.routing.handlers import Handler
from app.routing.rules import MatchKind
from app.routing.templates import TextAnswer
from app.routing.upstream.forward import Forward


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
                    "answer": answered_by(rule.answer),
                }
                for rule in ordered
            ]
        )
        return
    rows = [
        (", ".join(rule.words), rule.kind.value, str(rule.scope), answered_by(rule.answer), rule.source)
        for rule in ordered
    ]
    print_table(("words", "match", "scope", "answer", "defined in"), rows)


def answered_by(answer: RuleAnswer) -> str:
    """Say what answers a rule's texts."""
    if isinstance(answer, Forward):
        return f"forwarded to {answer}"
    if isinstance(answer, Handler):
        return f"function {answer.name}"
    return "text" if isinstance(answer, TextAnswer) else "template"
