"""``onboarding portable`` and ``onboarding refresh``: what Twilio knows of numbers on their way."""

from __future__ import annotations

from typing import Annotated

import typer

from sms_router.cli.context import settings_for_command
from sms_router.cli.onboarding import display as shown
from sms_router.cli.onboarding.actions import ask_portability, known_arrivals, read_arrivals, update_checklist
from sms_router.cli.output import AsJson, print_error, print_json
from sms_router.onboarding.process_choice import OnboardingPath, UnsupportedNumberError, choose_path
from sms_router.onboarding.steps import OnboardingKind

Named = Annotated[
    str, typer.Argument(metavar="NUMBER", help="The number, like +14155550100, or a short code.")
]


def arrival_typed(number: str, kind: OnboardingKind | None, country: str | None) -> OnboardingPath:
    """Return how a number comes in, as it was typed; one that does not fit is wrong use."""
    try:
        return choose_path(number, kind, country)
    except UnsupportedNumberError as error:
        raise typer.BadParameter(str(error)) from error


def portable(number: Named, as_json: AsJson = False) -> None:
    """Ask Twilio whether a number can be ported by its API, and what is needed. Exits with 1 when not."""
    kind = (
        OnboardingKind.PORT_US if number.strip().isdigit() else None
    )  # a short code is told that it is none
    arrival = arrival_typed(number, kind, None)
    settings = settings_for_command()
    told = ask_portability(settings, arrival.number)
    if as_json:
        print_json(
            {
                "number": told.number,
                "portable": told.portable,
                "pin_and_account_number_required": told.pin_required,
                "reason": told.reason,
                "type": told.number_type,
                "country": told.country,
                "kind": arrival.kind.value,
            }
        )
    else:
        shown.print_portability(told, arrival.kind)
    if not told.portable:
        raise typer.Exit(1)


def refresh(as_json: AsJson = False) -> None:
    """Read the port-in requests and the Services from Twilio, and move the checklists forward.

    What is live is finished: a port that Twilio calls complete, a number that was texted, or one that is
    in its Service when its day has come. Exits with 1 when something could not be read.
    """
    settings = settings_for_command()
    reading = read_arrivals(settings, known_arrivals(settings)[0])
    news = []
    for before in reading.pending:
        moved = update_checklist(settings, before.number, "refresh", reading.moved)
        if moved is not None and moved != before:
            news.append((before, moved))
    if as_json:
        known, at = known_arrivals(settings)
        told = [shown.as_json(after, known, at) for _, after in news]
        print_json({"moved": told, "failures": list(reading.failures)})
    else:
        shown.print_news(news, len(reading.pending))
        for sentence in reading.failures:
            print_error(sentence)
    if reading.failures:
        raise typer.Exit(1)
