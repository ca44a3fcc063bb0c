"""``sms-router check``: the configuration, Redis, and the settings at Twilio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from typer import Option

from sms_router.checks.finding import Fix, Severity
from sms_router.cli.check.twilio import CheckReport, apply_fixes, run_checks
from sms_router.cli.context import settings_for_command
from sms_router.cli.output import JsonOption, confirm, plural, print_json, print_line, print_table, stderr
from sms_router.cli.rules import load_rules, report_all_errors
from sms_router.cli.senders.pools import known_senders
from sms_router.cli.twilio_access import YesOption
from sms_router.config.settings import Settings
from sms_router.errors import ConfigurationError
from sms_router.membership.snapshot_diff import format_value
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.rule_loader import add_places
from sms_router.routing.dispatch.rule_warnings import find_warnings
from sms_router.routing.opt_outs.audit import audit_replies
from sms_router.senders.error_table import load_error_table

COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}

FixOption = Annotated[
    bool, Option("--fix", help="Fix the settings at Twilio that can be fixed, after a confirmation.")
]
StrictOption = Annotated[bool, Option("--strict", help="Exit with 1 on warnings too.")]
TwilioOption = Annotated[bool, Option("--twilio/--no-twilio", help="Check Redis and Twilio, too.")]


def check(
    fix: FixOption = False,
    yes: YesOption = False,
    use_twilio: TwilioOption = True,
    strict: StrictOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check the configuration, Redis and the Messaging Services at Twilio.

    Mistakes in settings, keywords, templates and handlers come first. Then each Service: its URLs, its
    senders, its tokens, and what has changed. With an error, messages are lost, refused or sent to the wrong
    place; with a warning, some contacts are not reached; a note needs no action.

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
    report = run_checks(settings, rules) if use_twilio else CheckReport(())
    fixed: Mapping[str, tuple[Fix, ...]] = {}
    if fix and report.fixes:
        fixed = report.fixes
        _fix(settings, fixed, yes=yes, quiet=as_json)
        report = run_checks(settings, rules)
    failed = report.has(Severity.ERROR) or (strict and report.has(Severity.WARNING))
    warnings = find_warnings(rules, known_senders(settings))
    warnings = add_places(warnings, settings.folder / "keywords.toml")
    warnings += audit_replies(rules.opt_outs, rules.replies.tables)
    warnings += rules.replies.missing(rules.opt_outs.languages)
    if as_json:
        print_json(_as_json(report, warnings, fixed, good=not failed))
    else:
        _print_report(settings, rules, report, warnings, good=not failed)
    if failed:
        raise typer.Exit(1)


def _fix(settings: Settings, fixes: Mapping[str, Sequence[Fix]], *, yes: bool, quiet: bool) -> None:
    if not quiet:
        for sid, of_service in fixes.items():
            print_line(f"At Twilio, {sid} would be changed:")
            rows = [
                (_setting_name(fix), format_value(fix.before), format_value(fix.after)) for fix in of_service
            ]
            print_table(("setting", "is", "would be"), rows)
    confirm("Change this at Twilio?", yes=yes)
    apply_fixes(settings, fixes)


def _setting_name(fix: Fix) -> str:
    name = fix.name.replace("_", " ")
    return f"{name} of {fix.number_sid}" if fix.number_sid else name


def _print_report(
    settings: Settings, rules: Dispatcher, report: CheckReport, warnings: Sequence[str], *, good: bool
) -> None:
    for warning in warnings:
        print_line(f"warning: {warning}", style="yellow")
    for finding in report.findings:
        print_line(f"{finding.severity.value}: {finding.sentence}", COLOURS[finding.severity])
        print_line(f"    {finding.remedy}")
    if report.skipped:
        print_line(report.skipped, console=stderr)
    counts = {"rule": rules.table.rules, "account": settings.accounts, "Service": settings.services}
    parts = ", ".join(plural(len(counted), noun) for noun, counted in counts.items())
    print_line(f"{settings.folder}: {'good' if good else 'not good'}: {parts}")


def _as_json(
    report: CheckReport, warnings: Sequence[str], fixed: Mapping[str, Sequence[Fix]], *, good: bool
) -> dict[str, object]:
    return {
        "good": good,
        "mistakes": [],
        "warnings": list(warnings),
        "findings": [
            {
                "severity": finding.severity.value,
                "about": finding.subject,
                "finding": finding.sentence,
                "remedy": finding.remedy,
                "mendable": bool(finding.fixes),
            }
            for finding in report.findings
        ],
        "skipped": report.skipped,
        "mended": [
            {"service": sid, "number": fix.number_sid or None, "setting": fix.name}
            | {"was": fix.before, "is": fix.after}
            for sid, fixes in fixed.items()
            for fix in fixes
        ],
    }
