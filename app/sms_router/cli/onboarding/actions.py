"""What the onboarding commands do: look into Redis, ask Twilio, and change one checklist at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sms_router.cli.context import has_store, store_client
from sms_router.cli.output import CommandError, stderr
from sms_router.cli.twilio_access import api_error, ask, client_for, operation_on
from sms_router.config.settings import Settings
from sms_router.membership import audit_log as journal
from sms_router.membership.source import PoolReadError
from sms_router.onboarding import repository as storing
from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.porting_api import (
    Portability,
    PortedNumber,
    fetch_portability,
    fetch_ported_numbers,
)
from sms_router.onboarding.progress import apply_observed, apply_port_status
from sms_router.onboarding.repository import OnboardingState, load_state
from sms_router.store.server_clock import server_time
from sms_router.twilio.rest import ApiError, FailureKind

Change = Callable[[Checklist | None, float, str], Checklist | None]
"""Takes what is stored, the time and the operator; returns what is to be stored."""


def known_arrivals(settings: Settings) -> tuple[OnboardingState, float]:
    """Return the numbers on their way and the time, in seconds since the epoch, by Redis' clock."""
    if not has_store(settings):
        return OnboardingState(), time.time()
    with store_client(settings) as client:
        return load_state(client), server_time(client)


def update_checklist(settings: Settings, number: str, what: str, how: Change) -> Checklist | None:
    """Change what is kept of a number, and let every router know; return what is kept now.

    ``what`` describes it in the history of changes, where something has changed.

    Raises:
        CommandError: when others keep changing it too.

    """
    with store_client(settings) as client:
        at, who = server_time(client), journal.current_operator()
        seen_before: list[Checklist | None] = []

        def change(before: Checklist | None) -> Checklist | None:
            seen_before.append(before)
            return how(before, at, who)

        try:
            after = storing.compare_and_set(client, number, change)
        except storing.ConflictError as error:
            raise CommandError(
                f"Others keep changing what is kept of {number}; nothing was stored.", "Try it again."
            ) from error
        before = seen_before[-1]
        if after != before:
            service_sid = next((each.service_sid for each in (after, before) if each is not None), "")
            journal.record(client, service_sid, "onboarding", number, f"{number}: {what}")
            storing.delete_finished(client, at)
        return after


def ask_portability(settings: Settings, number: str) -> Portability:
    """Ask Twilio whether a number can be ported.

    Raises:
        CommandError: when Twilio refuses, or is away.

    """
    if not settings.accounts:
        raise CommandError(
            "No account is configured.", "export TWILIO_ACCOUNT_SID=AC... TWILIO_AUTH_TOKEN=..."
        )
    client = client_for(settings, settings.accounts[0].sid)
    return ask(settings, f"Asking Twilio about {number}", lambda: fetch_portability(client, number))


@dataclass(frozen=True, slots=True)
class PortingReport:
    """What Twilio says of the numbers on their way."""

    pending: tuple[Checklist, ...]
    texted: Mapping[str, float]
    ports: Mapping[str, PortedNumber]
    """By number; those that could be read."""
    members: Mapping[str, frozenset[str]]
    """The addresses in each Service that could be read."""
    failures: tuple[str, ...]

    def moved(self, checklist: Checklist | None, at: float, _: str) -> Checklist | None:
        """Return a checklist with what was read of its number."""
        if checklist is None:
            return None
        port = self.ports.get(checklist.number)
        if port is not None and port.request_sid == checklist.request_sid:
            checklist = apply_port_status(checklist, port, at)
        there = checklist.number in self.members.get(checklist.service_sid, ())
        return apply_observed(checklist, at, in_service=there, texted=self.texted.get(checklist.number))


def read_arrivals(settings: Settings, known: OnboardingState) -> PortingReport:
    """Read from Twilio how far the numbers on their way are."""
    failures: list[str] = []
    members = {}
    for sid in sorted({each.service_sid for each in known.pending}):
        found = _members(settings, sid, failures)
        if found is not None:
            members[sid] = found
    ports = _ports(settings, known.pending, failures)
    return PortingReport(known.pending, known.texted, ports, members, tuple(failures))


def _ports(
    settings: Settings, pending: Iterable[Checklist], failures: list[str]
) -> Mapping[str, PortedNumber]:
    """Read each port-in request once, however many numbers it holds."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for each in pending:
        if each.request_sid is not None:
            account_sid = _account_of(settings, each.service_sid)
            wanted.setdefault((account_sid, each.request_sid), []).append(each.number)
    ports = {}
    for (account_sid, request_sid), numbers in wanted.items():
        try:
            with stderr.status(f"Reading {request_sid} from Twilio ..."):
                found = fetch_ported_numbers(client_for(settings, account_sid), request_sid)
        except ApiError as error:
            failures += _unread(settings, error, request_sid, numbers)
            continue
        ports.update({number: found[number] for number in numbers if number in found})
        failures += [
            f"{number} is not part of the port-in request {request_sid}; {_other_request(number)}"
            for number in numbers
            if number not in found
        ]
    return ports


def _unread(settings: Settings, error: ApiError, request_sid: str, numbers: Iterable[str]) -> list[str]:
    """Say for each number why its port-in request could not be read."""
    if error.failure.kind is not FailureKind.NOT_FOUND:
        return [f"{', '.join(numbers)}: {api_error(settings, error).lines[0]}"]
    return [
        f"{number}: Twilio knows no port-in request {request_sid} on this account; {_other_request(number)}"
        for number in numbers
    ]


def _other_request(number: str) -> str:
    return f"give the right one: sms-router onboarding request {number} KW..."


def _account_of(settings: Settings, service_sid: str) -> str:
    service = settings.service(service_sid)
    return service.account if service is not None else settings.accounts[0].sid


def _members(settings: Settings, service_sid: str, failures: list[str]) -> frozenset[str] | None:
    if settings.service(service_sid) is None:
        failures.append(f"{service_sid} is not one of the configured Messaging Services.")
        return None
    try:
        with stderr.status(f"Reading {service_sid} from Twilio ..."):
            snapshot = operation_on(settings, service_sid).source.read(time.time())
    except PoolReadError as error:
        failures.append(api_error(settings, error).lines[0])
        return None
    return frozenset(sender.address for sender in snapshot.senders)
