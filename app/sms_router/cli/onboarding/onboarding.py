"""``sms-router onboarding``: short codes and numbers on their way in, and what is to be done for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Annotated

import typer

from sms_router.cli.context import settings_for_command
from sms_router.cli.onboarding import display as shown
from sms_router.cli.onboarding.actions import known_arrivals, update_checklist
from sms_router.cli.onboarding.porting import Named, arrival_typed, portable, refresh
from sms_router.cli.output import AsJson, CommandError, confirm, print_error, print_json
from sms_router.cli.senders.cordons import reason_of
from sms_router.cli.senders.pools import stored_pools
from sms_router.cli.twilio_access import Yes, chosen_service, print_line
from sms_router.config.settings import Settings
from sms_router.onboarding.checklist import Checklist, StepError, day_of
from sms_router.onboarding.process_choice import UnsupportedNumberError, choose_path
from sms_router.onboarding.steps import OnboardingKind

_REQUEST_SID = re.compile(r"KW[0-9a-fA-F]{32}")

onboarding = typer.Typer()


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    onboarding.command("portable")(portable)
    onboarding.command("refresh")(refresh)
    commands.add_typer(onboarding, name="onboarding")


@onboarding.callback(invoke_without_command=True)
def overview(context: typer.Context, as_json: AsJson = False) -> None:
    """Numbers on their way: short-code leases and ports, and who is to act next.

    A short code whose lease moves, or a number that is being ported, takes weeks, and does not work
    before. The routers pass it over meanwhile, and say so; whoever texts it is answered all the same.
    """
    if context.invoked_subcommand is None:
        list_all(as_json=as_json)


@onboarding.command("list")
def list_all(
    everything: Annotated[bool, typer.Option("--all", help="Those that are live already, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the numbers on their way: what is due, from whom, and until when."""
    known, at = known_arrivals(settings_for_command())
    if as_json:
        chosen = known.checklists if everything else known.pending
        print_json([shown.as_json(each, known, at) for each in chosen])
    else:
        shown.print_list(known, at, everything=everything)


@onboarding.command("show")
def show(number: Named, as_json: AsJson = False) -> None:
    """Show one number's checklist: what is done, what is due, what is needed, and what to watch out for."""
    known, at = known_arrivals(settings_for_command())
    checklist = known.find(_normal(number))
    if checklist is None:
        raise _unknown(number)
    if as_json:
        print_json(shown.as_json(checklist, known, at))
    else:
        shown.print_checklist(checklist, known, at)


@onboarding.command("add")
def add(
    number: Named,
    kind: Annotated[
        OnboardingKind | None,
        typer.Option("--kind", help="How it comes in; where there is one way only, that one."),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option("--service", metavar="MG...", help="The Messaging Service it is to belong to."),
    ] = None,
    country: Annotated[str | None, typer.Option("--country", help="Two letters, like US (ISO 3166).")] = None,
    expected: Annotated[
        str | None, typer.Option("--expected", metavar="DATE", help="When it goes live: 2026-12-01.")
    ] = None,
    port_in: Annotated[
        str | None,
        typer.Option("--port-in", metavar="KW...", help="Its port-in request at Twilio (US only)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Keep a number that is on its way: the routers do not use it before it is live."""
    arrival = arrival_typed(number, kind, country.upper() if country else None)
    request_sid, settings = _request_sid(port_in, arrival.kind), settings_for_command()
    service_sid = chosen_service(settings, service)

    def begin(before: Checklist | None, at: float, who: str) -> Checklist:
        if before is not None and not before.is_finished:
            raise CommandError(
                f"{before.number} is on its way already.", f"sms-router onboarding show {before.number}"
            )
        day = _day(expected, at) if expected is not None else None
        return Checklist.start(arrival, service_sid, at, who, day, request_sid)

    checklist = update_checklist(settings, arrival.number, f"add ({arrival.kind})", begin)
    assert checklist is not None
    _tell(settings, checklist, as_json=as_json)
    if any(pool.holds(checklist.number) for pool in stored_pools(settings)):
        print_error(
            f"{checklist.number} is in a Messaging Service already, and passed over from now on.",
            f"If it works, forget this: sms-router onboarding drop {checklist.number}",
        )


@onboarding.command("done")
def done(
    number: Named,
    step: Annotated[
        str | None, typer.Argument(metavar="STEP", help="The step; default: the one that is due.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say that a step is done; those before it are done too. After a rejection: it was sent in again.

    With the step live the number is finished, and every router uses it within a second.
    """

    def advance(checklist: Checklist, at: float, who: str) -> Checklist:
        if step is not None and step not in checklist.process.step_names:
            names = ", ".join(checklist.process.step_names)
            raise CommandError(f"{checklist.kind} has no step {step}.", f"Its steps: {names}", code=2)
        if checklist.rejected is not None and step is None:
            return checklist.resubmit(at, who)
        return checklist.complete_step(step, at, who)

    _alter(number, f"done {step}" if step else "done", advance, as_json=as_json)


@onboarding.command("reject")
def reject(
    number: Named,
    reason: Annotated[str, typer.Option("--reason", help="Why, as you were told.", callback=reason_of)],
    as_json: AsJson = False,
) -> None:
    """Record that a port or an application was rejected, and say what mends it."""
    _alter(
        number,
        f"rejected: {reason}",
        lambda checklist, at, who: checklist.reject(reason, at, who),
        as_json=as_json,
    )


@onboarding.command("expect")
def expect(
    number: Named,
    day: Annotated[str, typer.Argument(metavar="DATE", help="When it goes live: 2026-12-01.")],
    as_json: AsJson = False,
) -> None:
    """Record the day on which a number goes live."""
    _alter(
        number,
        f"expected {day}",
        lambda checklist, at, who: checklist.expect(_day(day, at), at, who),
        as_json=as_json,
    )


@onboarding.command("request")
def request(
    number: Named,
    sid: Annotated[str, typer.Argument(metavar="KW...", help="The port-in request at Twilio.")],
    as_json: AsJson = False,
) -> None:
    """Record a number's port-in request, so that refresh follows it."""
    _alter(
        number,
        f"request {sid}",
        lambda checklist, at, who: checklist.attach_request(_request_sid(sid, checklist.kind) or "", at, who),
        as_json=as_json,
    )


@onboarding.command("note")
def note(
    number: Named,
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="What is worth remembering.", callback=reason_of)
    ],
    as_json: AsJson = False,
) -> None:
    """Add a note to a number's history."""
    _alter(number, "note", lambda checklist, at, who: checklist.add_note(text, at, who), as_json=as_json)


@onboarding.command("drop")
def drop(number: Named, yes: Yes = False) -> None:
    """Forget a number that was on its way: from then on the routers use it like any other."""
    settings, number = settings_for_command(), _normal(number)
    known, _ = known_arrivals(settings)
    if known.find(number) is None:
        raise _unknown(number)
    confirm(f"Forget the checklist of {number}?", yes=yes)
    update_checklist(settings, number, "drop", lambda _, __, ___: None)
    print_line(f"{number} is forgotten. Every router knows it within a second.")


def _alter(
    number: str, what: str, how: Callable[[Checklist, float, str], Checklist], *, as_json: bool
) -> None:
    """Change the checklist of a number that is on its way."""

    def alter(before: Checklist | None, at: float, who: str) -> Checklist:
        if before is None:
            raise _unknown(number)
        try:
            return how(before, at, who)
        except StepError as error:
            raise CommandError(
                f"{error}.", f"See how far it is: sms-router onboarding show {before.number}"
            ) from error

    settings = settings_for_command()
    changed = update_checklist(settings, _normal(number), what, alter)
    assert changed is not None
    _tell(settings, changed, as_json=as_json)


def _tell(settings: Settings, checklist: Checklist, *, as_json: bool) -> None:
    if as_json:
        known, at = known_arrivals(settings)
        print_json(shown.as_json(checklist, known, at))
    else:
        shown.print_state(checklist)


def _normal(number: str) -> str:
    """Return a number as it is kept, however it was typed."""
    try:
        return choose_path(number, None, None).number
    except UnsupportedNumberError:
        return number.strip()


def _unknown(number: str) -> CommandError:
    return CommandError(
        f"{number} is not on its way, as far as the router knows.",
        "See what is: sms-router onboarding; keep it: sms-router onboarding add NUMBER",
    )


def _request_sid(text: str | None, kind: OnboardingKind) -> str | None:
    if text is None:
        return None
    if kind is not OnboardingKind.PORT_US:
        raise typer.BadParameter(
            f"a port-in request is for --kind {OnboardingKind.PORT_US} only: the API does no other"
        )
    if not _REQUEST_SID.fullmatch(text):
        raise typer.BadParameter("a port-in request is KW and 32 hex digits")
    return text


def _day(text: str, at: float) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter("a day is written like 2026-12-01") from error
    if day < day_of(at):
        raise typer.BadParameter(f"{text} has passed")
    return day
