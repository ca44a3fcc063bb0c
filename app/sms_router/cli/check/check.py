"""``sms-router check``: whether the router could start, and whether Twilio is set up for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from sms_router.checks.finding import Finding, Fix, Severity
from sms_router.cli.check.twilio import CheckReport, apply_fixes, run_checks
from sms_router.cli.context import load_rules, report_all_errors, settings_for_command
from sms_router.cli.output import AsJson, confirm, plain, plural, print_json, print_table, stderr, stdout
from sms_router.cli.twilio_access import Yes
from sms_router.config.settings import Settings
from sms_router.errors import ConfigurationError
from sms_router.membership.snapshot_diff import format_value
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.senders.error_table import load_error_table

COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}

FixOption = Annotated[
    bool, typer.Option("--fix", help="Change at Twilio what can be fixed there, after showing it.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")]
AskTwilio = Annotated[bool, typer.Option("--twilio/--no-twilio", help="Look at Twilio's side too.")]


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("check")(check)


def check(
    fix: FixOption = False,
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
        with report_all_errors():
            settings = settings_for_command()
            rules = load_rules(settings)
            load_error_table(settings.folder)
    except ConfigurationError as error:
        if not as_json:
            raise
        print_json({**_as_json(CheckReport(()), (), {}, good=False), "mistakes": list(error.mistakes)})
        raise typer.Exit(1) from error
    found = run_checks(settings, rules) if ask_twilio else CheckReport(())
    mended: Mapping[str, tuple[Fix, ...]] = {}
    if fix and found.mendings:
        mended = found.mendings
        _mend(settings, mended, yes=yes, quiet=as_json)
        found = run_checks(settings, rules)
    bad = found.has(Severity.ERROR) or (strict and found.has(Severity.WARNING))
    shadowings = [*map(str, rules.table.find_shadowed()), *rules.opt_out_conflicts()]
    if as_json:
        print_json(_as_json(found, shadowings, mended, good=not bad))
    else:
        _tell(settings, rules, found, shadowings, good=not bad)
    if bad:
        raise typer.Exit(1)


def _mend(settings: Settings, mendings: Mapping[str, Sequence[Fix]], *, yes: bool, quiet: bool) -> None:
    if not quiet:
        rows = [
            (sid, each.name.replace("_", " "), format_value(each.before), format_value(each.after))
            for sid, wanted in mendings.items()
            for each in wanted
        ]
        for sid in mendings:
            stdout.print(f"At Twilio, {sid} would be changed:", markup=False, soft_wrap=True)
            print_table(("setting", "is", "would be"), [row[1:] for row in rows if row[0] == sid])
    confirm("Change this at Twilio?", yes=yes)
    apply_fixes(settings, mendings)


def _tell(
    settings: Settings, rules: Dispatcher, found: CheckReport, shadowings: Sequence[str], *, good: bool
) -> None:
    for warning in shadowings:
        stdout.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    for finding in found.findings:
        stdout.print(
            plain(f"{finding.severity.value}: {finding.sentence}", COLOURS[finding.severity]), soft_wrap=True
        )
        stdout.print(plain(f"    {finding.remedy}"), soft_wrap=True)
    if found.skipped:
        stderr.print(plain(found.skipped), soft_wrap=True)
    parts = (
        plural(len(rules.table.rules), "rule"),
        plural(len(settings.accounts), "account"),
        plural(len(settings.services), "Service"),
    )
    verdict = "good" if good else "not good"
    stdout.print(f"{settings.folder}: {verdict}: {', '.join(parts)}", markup=False, soft_wrap=True)


def _as_json(
    found: CheckReport, shadowings: Sequence[str], mended: Mapping[str, Sequence[Fix]], *, good: bool
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
        "mendable": bool(finding.fixes),
    }
