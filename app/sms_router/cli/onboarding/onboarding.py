"""``sms-router onboarding``: checklists of short-code leases and number ports, until they are live."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import date
from typing import Annotated

import typer
from typer import Argument, Option

from sms_router.cli.context import settings_for_command
from sms_router.cli.onboarding import display
from sms_router.cli.onboarding.actions import (
    ask_portability,
    read_state,
    refresh_checklists,
    update_checklist,
)
from sms_router.cli.output import CommandError, JsonOption, Noun, confirm, print_error, print_json, print_line
from sms_router.cli.senders.cordons import reason_option
from sms_router.cli.senders.pools import stored_pools
from sms_router.cli.twilio_access import ServiceOption, YesOption, choose_service
from sms_router.config.settings import Settings
from sms_router.onboarding.calendar_export import render_calendar
from sms_router.onboarding.checklist import Checklist, StepError, day_of
from sms_router.onboarding.documents import DocumentKind, RecordedDocument
from sms_router.onboarding.process_choice import OnboardingPath, UnsupportedNumberError, choose_path
from sms_router.onboarding.steps import OnboardingKind

_REQUEST_SID = re.compile(r"KW[0-9a-fA-F]{32}")

NumberArgument = Annotated[
    str, Argument(metavar="NUMBER", help="The number, like +14155550100, or a short code.")
]

onboarding = typer.Typer(
    cls=Noun,
    help="Track short-code leases and number ports until they are live.\n\n"
    "A lease or a port takes weeks. The routers do not select the number before it is live, and the "
    "selection trail has the reason. A contact who texts it gets a reply.",
)


@onboarding.command("list")
def list_all(
    everything: Annotated[bool, Option("--all", help="Numbers that are live, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the numbers in onboarding: the next step, who acts, and the expected date."""
    state, at = read_state(settings_for_command())
    if as_json:
        checklists = state.checklists if everything else state.pending
        print_json([display.as_json(checklist, state, at) for checklist in checklists])
    else:
        display.print_list(state, at, everything=everything)


@onboarding.command("show")
def show(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Show the checklist of a number: steps, dates, what is needed, and its history."""
    state, at = read_state(settings_for_command())
    checklist = state.find(_normalize(number))
    if checklist is None:
        raise _not_found(number)
    if as_json:
        print_json(display.as_json(checklist, state, at))
    else:
        display.print_checklist(checklist, state, at)


@onboarding.command("add")
def add(
    number: NumberArgument,
    kind: Annotated[
        OnboardingKind | None, Option("--kind", help="The process; default: the only one for this number.")
    ] = None,
    service: ServiceOption = None,
    country: Annotated[str | None, Option("--country", help="Two letters, like US (ISO 3166).")] = None,
    expected: Annotated[
        str | None, Option("--expected", metavar="DATE", help="The day it goes live: 2026-12-01.")
    ] = None,
    port_in: Annotated[
        str | None, Option("--port-in", metavar="KW...", help="Its port-in request at Twilio (US only).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Record a number in onboarding: the routers do not select it before it is live."""
    path = _choose_path(number, kind, country.upper() if country else None)
    request_sid = _parse_request_sid(port_in, path.kind) if port_in is not None else None
    settings = settings_for_command()
    service_sid = choose_service(settings, service)

    def begin(before: Checklist | None, at: float, operator: str) -> Checklist:
        if before is not None and not before.is_finished:
            raise CommandError(
                f"{before.number} is in onboarding already.", f"sms-router onboarding show {before.number}"
            )
        day = _parse_day(expected, at) if expected is not None else None
        return Checklist.start(path, service_sid, at, operator, day, request_sid)

    checklist = update_checklist(settings, path.number, f"add ({path.kind})", begin)
    assert checklist is not None
    _print_result(settings, checklist, as_json=as_json)
    if any(pool.holds(checklist.number) for pool in stored_pools(settings)):
        print_error(
            f"{checklist.number} is in a Messaging Service already; the routers do not select it any more.",
            f"If it is live, delete the checklist: sms-router onboarding drop {checklist.number}",
        )


@onboarding.command("done")
def done(
    number: NumberArgument,
    step: Annotated[str | None, Argument(metavar="STEP", help="The step; default: the current one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Record that a step is done, and all before it; after a rejection: that it was resubmitted.

    The step live ends the onboarding: every router uses the number within a second.
    """

    problems: list[str] = []

    def advance(checklist: Checklist, at: float, operator: str) -> Checklist:
        if step is not None and step not in checklist.process.step_names:
            names = ", ".join(checklist.process.step_names)
            raise CommandError(f"{checklist.kind} has no step {step}.", f"Its steps: {names}", code=2)
        if checklist.rejected is not None and step in (None, "request"):
            changed = checklist.resubmit(at, operator)
        else:
            changed = checklist.complete_step(step, at, operator)
        if checklist.documents and not changed.document_problems(at):
            problems[:] = checklist.document_problems(at)
        return changed

    _change(number, f"done {step}" if step else "done", advance, as_json=as_json)
    for problem in problems:
        print_error(f"The documents may be rejected: {problem}.")


@onboarding.command("reject")
def reject(
    number: NumberArgument,
    reason: Annotated[
        str, Option("--reason", help="The reason that you were given.", callback=reason_option)
    ],
    as_json: JsonOption = False,
) -> None:
    """Record that a port or an application was rejected, and show the remedies."""
    _change(number, f"rejected: {reason}", lambda it, *by: it.reject(reason, *by), as_json=as_json)


@onboarding.command("expect")
def expect(
    number: NumberArgument,
    day: Annotated[str, Argument(metavar="DATE", help="The day it goes live: 2026-12-01.")],
    as_json: JsonOption = False,
) -> None:
    """Record the day on which a number goes live, as Twilio has announced it.

    Where Twilio announces the day by email (Canada, other countries), it completes the step date.
    """
    expected = f"expected {day}"
    _change(number, expected, lambda it, at, who: it.expect(_parse_day(day, at), at, who), as_json=as_json)


@onboarding.command("document")
def document(
    number: NumberArgument,
    kind: Annotated[DocumentKind, Argument(metavar="DOCUMENT", help=f"One of {', '.join(DocumentKind)}.")],
    day: Annotated[str, Option("--date", metavar="DATE", help="Its own date: 2026-12-01.")],
    name: Annotated[str, Option("--name", help="The owner or authorized user that it shows.")] = "",
    address: Annotated[str, Option("--address", help="The service address that it shows.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Record a document with its date, and check what would get it rejected.

    A bill older than 30 days, a PO box and a date in the future are refused. Names that differ between the
    documents are reported.
    """
    recorded = RecordedDocument(kind, _read_day(day), name.strip(), address.strip())
    description = f"document {kind} of {day}"
    _change(number, description, lambda it, *by: it.record_document(recorded, *by), as_json=as_json)


@onboarding.command("renewal")
def renewal(
    number: NumberArgument,
    day: Annotated[str, Argument(metavar="DATE", help="The day of the renewal: 2026-12-01.")],
    as_json: JsonOption = False,
) -> None:
    """Record the day on which the lease of a short code is renewed."""
    renewed = f"renewal {day}"
    _change(number, renewed, lambda it, at, who: it.renew(_parse_day(day, at), at, who), as_json=as_json)


@onboarding.command("no-calls")
def no_calls(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Record that nothing answers the calls to a number, on purpose: it needs no voice URL then."""
    _change(number, "no calls", Checklist.refuse_calls, as_json=as_json)


@onboarding.command("calendar")
def calendar() -> None:
    """Print the dates of the numbers in onboarding as iCalendar (RFC 5545).

    For each number: the day it goes live, the last day to configure it, and the last day of the current step.
    Import the file into a calendar: sms-router onboarding calendar > ports.ics
    """
    state, at = read_state(settings_for_command())
    sys.stdout.buffer.write(render_calendar(state.checklists, at))
    sys.stdout.buffer.flush()


@onboarding.command("request")
def request(
    number: NumberArgument,
    sid: Annotated[str, Argument(metavar="KW...", help="The port-in request at Twilio.")],
    as_json: JsonOption = False,
) -> None:
    """Record the port-in request of a number, so that refresh reads it."""

    def attach(checklist: Checklist, at: float, operator: str) -> Checklist:
        return checklist.attach_request(_parse_request_sid(sid, checklist.kind), at, operator)

    _change(number, f"request {sid}", attach, as_json=as_json)


@onboarding.command("note")
def note(
    number: NumberArgument,
    text: Annotated[str, Argument(metavar="TEXT", help="Text of the note.", callback=reason_option)],
    as_json: JsonOption = False,
) -> None:
    """Add a note to the history of a number."""
    _change(number, "note", lambda it, *by: it.add_note(text, *by), as_json=as_json)


@onboarding.command("drop")
def drop(number: NumberArgument, yes: YesOption = False) -> None:
    """Delete the checklist of a number: the routers then select it like any other."""
    settings, number = settings_for_command(), _normalize(number)
    state, _ = read_state(settings)
    if state.find(number) is None:
        raise _not_found(number)
    confirm(f"Delete the checklist of {number}?", yes=yes)
    update_checklist(settings, number, "drop", lambda _, __, ___: None)
    print_line(f"The checklist of {number} is deleted, on every router within a second.")


@onboarding.command("portable")
def portable(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Ask Twilio whether its API can port a number, and what is needed. Exits with 1 when it cannot."""
    kind = (
        OnboardingKind.PORT_US if number.strip().isdigit() else None
    )  # the error has the reason why a short code cannot
    path = _choose_path(number, kind, None)
    portability = ask_portability(settings_for_command(), path.number)
    if as_json:
        print_json(
            {
                "number": portability.number,
                "portable": portability.portable,
                "pin_and_account_number_required": portability.pin_required,
                "reason": portability.reason,
                "type": portability.number_type,
                "country": portability.country,
                "kind": path.kind.value,
            }
        )
    else:
        display.print_portability(portability, path.kind)
    if not portability.portable:
        raise typer.Exit(1)


@onboarding.command("refresh")
def refresh(as_json: JsonOption = False) -> None:
    """Read port-in requests and Services from Twilio, and update the checklists.

    A number becomes live when Twilio completes its port, when it was texted, or when it is in its Service on
    its expected day. Exits with 1 when something could not be read.
    """
    settings = settings_for_command()
    stored, _ = read_state(settings, as_stored=True)
    changes, failures = refresh_checklists(settings, stored.pending, stored.texted)
    if as_json:
        state, at = read_state(settings)
        changed = [display.as_json(after, state, at) for _, after in changes]
        print_json({"moved": changed, "failures": failures})
    else:
        display.print_changes(changes, len(stored.pending))
        for failure in failures:
            print_error(failure)
    if failures:
        raise typer.Exit(1)


def _change(
    number: str, description: str, change: Callable[[Checklist, float, str], Checklist], *, as_json: bool
) -> None:
    def apply(before: Checklist | None, at: float, operator: str) -> Checklist:
        if before is None:
            raise _not_found(number)
        try:
            return change(before, at, operator)
        except StepError as error:
            raise CommandError(
                f"{error}.", f"Show its checklist: sms-router onboarding show {before.number}"
            ) from error

    settings = settings_for_command()
    changed = update_checklist(settings, _normalize(number), description, apply)
    assert changed is not None
    _print_result(settings, changed, as_json=as_json)


def _print_result(settings: Settings, checklist: Checklist, *, as_json: bool) -> None:
    state, at = read_state(settings)
    if as_json:
        print_json(display.as_json(checklist, state, at))
    else:
        display.print_state(checklist, at)


def _normalize(number: str) -> str:
    """Return a number in the form in which it is stored."""
    try:
        return choose_path(number, None, None).number
    except UnsupportedNumberError:
        return number.strip()


def _choose_path(number: str, kind: OnboardingKind | None, country: str | None) -> OnboardingPath:
    try:
        return choose_path(number, kind, country)
    except UnsupportedNumberError as error:
        raise typer.BadParameter(str(error)) from error


def _not_found(number: str) -> CommandError:
    return CommandError(
        f"{number} is not in onboarding.",
        "List the numbers: sms-router onboarding; record it: sms-router onboarding add NUMBER",
    )


def _parse_request_sid(text: str, kind: OnboardingKind) -> str:
    if kind is not OnboardingKind.PORT_US:
        raise typer.BadParameter(
            f"a port-in request is for --kind {OnboardingKind.PORT_US} only: the API supports no other"
        )
    if not _REQUEST_SID.fullmatch(text):
        raise typer.BadParameter("must be KW and 32 hex digits")
    return text


def _read_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("must be a day like 2026-12-01") from error


def _parse_day(text: str, at: float) -> date:
    day = _read_day(text)
    if day < day_of(at):
        raise typer.BadParameter(f"{text} has passed")
    return day
