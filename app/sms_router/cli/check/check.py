"""``sms-router check``: whether the router could start, and whether Twilio is set up for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from sms_router.checks.finding import Finding, Mending, Severity
from sms_router.cli.check.twilio import Look, look, mend
from sms_router.cli.context import all_mistakes, load_rules, settings_for_command
from sms_router.cli.output import AsJson, confirm, counted, err, out, plain, print_json, print_table
from sms_router.cli.twilio_access import Yes
from sms_router.config.settings import Settings
from sms_router.errors import SettingsError
from sms_router.membership.snapshot_diff import shown
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.senders.error_table import load_error_table

COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}

Fix = Annotated[bool, typer.Option("--fix", help="Mend what the API can, after showing what would change.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")]
AskTwilio = Annotated[bool, typer.Option("--twilio/--no-twilio", help="Look at Twilio's side too.")]


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("check")(check)


def check(
    fix: Fix = False,
    yes: Yes = False,
    ask_twilio: AskTwilio = True,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Check the configuration, and the Messaging Services at Twilio against it.

    Mistakes in settings, keywords, templates and handlers come first. Then each Service: its URLs,
    its senders, its tokens, and what has changed. Errors lose, refuse or misdirect texts; warnings
    leave some people unreached; notes need nothing done.

    Exits with 1 when there are mistakes or errors.
    """
    try:
        with all_mistakes():
            settings = settings_for_command()
            rules = load_rules(settings)
            load_error_table(settings.folder)
    except SettingsError as error:
        if not as_json:
            raise
        print_json({**_as_json(Look(()), (), {}, good=False), "mistakes": list(error.mistakes)})
        raise typer.Exit(1) from error
    found = look(settings, rules) if ask_twilio else Look(())
    mended: Mapping[str, tuple[Mending, ...]] = {}
    if fix and found.mendings:
        mended = found.mendings
        _mend(settings, mended, yes=yes, quiet=as_json)
        found = look(settings, rules)
    bad = found.has(Severity.ERROR) or (strict and found.has(Severity.WARNING))
    shadowings = [*map(str, rules.table.shadowed()), *rules.taken_by_opt_outs()]
    if as_json:
        print_json(_as_json(found, shadowings, mended, good=not bad))
    else:
        _tell(settings, rules, found, shadowings, good=not bad)
    if bad:
        raise typer.Exit(1)


def _mend(settings: Settings, mendings: Mapping[str, Sequence[Mending]], *, yes: bool, quiet: bool) -> None:
    if not quiet:
        rows = [
            (sid, each.name.replace("_", " "), shown(each.before), shown(each.after))
            for sid, wanted in mendings.items()
            for each in wanted
        ]
        for sid in mendings:
            out.print(f"At Twilio, {sid} would be changed:", markup=False, soft_wrap=True)
            print_table(("setting", "is", "would be"), [row[1:] for row in rows if row[0] == sid])
    confirm("Change this at Twilio?", yes=yes)
    mend(settings, mendings)


def _tell(
    settings: Settings, rules: Dispatcher, found: Look, shadowings: Sequence[str], *, good: bool
) -> None:
    for warning in shadowings:
        out.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    for finding in found.findings:
        out.print(
            plain(f"{finding.severity.value}: {finding.sentence}", COLOURS[finding.severity]), soft_wrap=True
        )
        out.print(plain(f"    {finding.remedy}"), soft_wrap=True)
    if found.skipped:
        err.print(plain(found.skipped), soft_wrap=True)
    parts = (
        counted(len(rules.table.rules), "rule"),
        counted(len(settings.accounts), "account"),
        counted(len(settings.services), "Service"),
    )
    verdict = "good" if good else "not good"
    out.print(f"{settings.folder}: {verdict}: {', '.join(parts)}", markup=False, soft_wrap=True)


def _as_json(
    found: Look, shadowings: Sequence[str], mended: Mapping[str, Sequence[Mending]], *, good: bool
) -> dict[str, object]:
    return {
        "good": good,
        "mistakes": [],
        "warnings": list(shadowings),
        "findings": [_finding(each) for each in found.findings],
        "skipped": found.skipped,
        "mended": [
            {"service": sid, "setting": each.name, "was": each.before, "is": each.after}
            for sid, wanted in mended.items()
            for each in wanted
        ],
    }


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "severity": finding.severity.value,
        "about": finding.subject,
        "finding": finding.sentence,
        "remedy": finding.remedy,
        "mendable": bool(finding.mendings),
    }
