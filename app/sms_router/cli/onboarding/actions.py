"""What the onboarding commands read and change: checklists in Redis, port-in requests at Twilio."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial

import redis

from sms_router.cli.output import CommandError, stderr
from sms_router.cli.store import read_store, store_client
from sms_router.cli.twilio_access import api_error, call_twilio, open_configured_service
from sms_router.config.settings import Settings
from sms_router.membership import audit_log
from sms_router.membership.admin import SenderType
from sms_router.membership.snapshot import Snapshot
from sms_router.onboarding import repository
from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.porting_api import (
    Portability,
    PortedNumber,
    fetch_portability,
    fetch_ported_numbers,
)
from sms_router.onboarding.progress import apply_configuration, apply_progress
from sms_router.onboarding.repository import OnboardingState, load_state
from sms_router.store.server_clock import server_time
from sms_router.twilio.rest import ApiError, FailureKind

Change = Callable[[Checklist | None, float, str], Checklist | None]
"""Takes the stored checklist, the time and the operator; returns the checklist to store."""


def read_state(settings: Settings, *, as_stored: bool = False) -> tuple[OnboardingState, float]:
    """Return the numbers in onboarding, and the time of Redis' clock in seconds since the epoch.

    Steps whose time without an answer counts as consent are completed, unless ``as_stored``.
    """

    def read(client: redis.Redis) -> tuple[OnboardingState, float]:
        at, state = server_time(client), load_state(client)
        return state if as_stored else state.apply_silence(at), at

    return read_store(settings, read, (OnboardingState(), time.time()))


def update_checklist(settings: Settings, number: str, description: str, change: Change) -> Checklist | None:
    """Change the checklist of a number and notify every router; return the new one.

    A change is recorded in the audit log with ``description``.
    """
    with store_client(settings) as client:
        at, operator = server_time(client), audit_log.current_operator()
        attempts: list[Checklist | None] = []

        def apply(before: Checklist | None) -> Checklist | None:
            attempts.append(before)
            return change(before.apply_silence(at) if before is not None else None, at, operator)

        try:
            after = repository.compare_and_set(client, number, apply)
        except repository.ConflictError as error:
            raise CommandError(
                f"The checklist of {number} is changed by others too; nothing was stored.", "Try again."
            ) from error
        before = attempts[-1]
        if after != before:
            owner = after if after is not None else before
            service_sid = owner.service_sid if owner is not None else ""
            audit_log.record(client, service_sid, "onboarding", number, f"{number}: {description}")
            repository.delete_finished(client, at)
        return after


def ask_portability(settings: Settings, number: str) -> Portability:
    if not settings.accounts:
        raise CommandError(
            "No account is configured.", "export TWILIO_ACCOUNT_SID=AC... TWILIO_AUTH_TOKEN=..."
        )
    client = settings.rest_client(settings.accounts[0].sid)
    return call_twilio(
        settings, f"Reading from Twilio about {number}", lambda: fetch_portability(client, number)
    )


def refresh_checklists(
    settings: Settings, pending: Sequence[Checklist], texted: Mapping[str, float]
) -> tuple[list[tuple[Checklist, Checklist]], list[str]]:
    """Read the progress of numbers from Twilio, and update their checklists.

    Return the checklists before and after each change, and what could not be read.
    """
    failures: list[str] = []
    members, with_voice = set[tuple[str, str]](), set[str]()
    for sid in sorted({checklist.service_sid for checklist in pending}):
        try:
            snapshot = _read_service(settings, sid)
            members |= {(sid, sender.address) for sender in snapshot.senders}
            with_voice |= read_numbers_with_voice(settings, pending, snapshot)
        except CommandError as error:
            failures.append(error.lines[0])
    ports = _read_ports(settings, pending, failures)

    def apply(checklist: Checklist | None, at: float, _: str) -> Checklist | None:
        if checklist is None:
            return None
        number = checklist.number
        return apply_progress(
            checklist,
            at,
            in_service=(checklist.service_sid, number) in members,
            has_voice=number in with_voice,
            texted=texted.get(number),
            port=ports.get(number),
        )

    results = [(before, update_checklist(settings, before.number, "refresh", apply)) for before in pending]
    return [(before, after) for before, after in results if after is not None and after != before], failures


def read_numbers_with_voice(settings: Settings, pending: Iterable[Checklist], snapshot: Snapshot) -> set[str]:
    """Return the pending numbers of a Service whose calls are answered at Twilio."""
    numbers = {
        checklist.number
        for checklist in pending
        if checklist.service_sid == snapshot.service_sid
        and checklist.needs_voice
        and not checklist.is_configured
    }
    admin = open_configured_service(settings, snapshot.service_sid).admin

    def read() -> set[str]:
        senders = [
            admin.find(SenderType.PHONE_NUMBER, sender.sid)
            for sender in snapshot.senders
            if sender.address in numbers
        ]
        return {sender.address for sender in senders if sender.voice is not None and sender.voice.is_set}

    return call_twilio(settings, "Reading the numbers from Twilio", read) if numbers else set()


def record_configured(
    settings: Settings, pending: Iterable[Checklist], snapshot: Snapshot, voice: Set[str]
) -> None:
    """Complete the step configure of the numbers that are in their Service with SMS and Voice.

    ``voice`` are the numbers whose calls are answered at Twilio.
    """
    members = {sender.address for sender in snapshot.senders}
    for checklist in pending:
        number, has_voice = checklist.number, checklist.number in voice
        if checklist.service_sid != snapshot.service_sid or checklist.is_configured or number not in members:
            continue
        if has_voice or not checklist.needs_voice:
            change = partial(_configure, has_voice=has_voice)
            update_checklist(settings, number, "configured", change)


def _configure(checklist: Checklist | None, at: float, _: str, *, has_voice: bool) -> Checklist | None:
    return apply_configuration(checklist, at, has_voice=has_voice) if checklist is not None else None


def _read_ports(
    settings: Settings, pending: Iterable[Checklist], failures: list[str]
) -> Mapping[str, PortedNumber]:
    """Read each port-in request once, even if it has several numbers."""
    numbers_by_request: dict[tuple[str, str], list[str]] = {}
    for checklist in pending:
        if checklist.request_sid is not None:
            service = settings.service(checklist.service_sid)
            account_sid = service.account if service is not None else settings.accounts[0].sid
            numbers = numbers_by_request.setdefault((account_sid, checklist.request_sid), [])
            numbers.append(checklist.number)
    ports = {}
    for (account_sid, request_sid), numbers in numbers_by_request.items():
        try:
            with stderr.status(f"Reading {request_sid} from Twilio ..."):
                request = fetch_ported_numbers(settings.rest_client(account_sid), request_sid)
        except ApiError as error:
            if error.failure.kind is not FailureKind.NOT_FOUND:
                failures.append(f"{', '.join(numbers)}: {api_error(settings, error).lines[0]}")
                continue
            request, problem = {}, f": this account has no port-in request {request_sid}"
        else:
            problem = f" is not part of the port-in request {request_sid}"
        ports.update({number: request[number] for number in numbers if number in request})
        failures += [
            f"{number}{problem}; record the right one: sms-router onboarding request {number} KW..."
            for number in numbers
            if number not in request
        ]
    return ports


def _read_service(settings: Settings, service_sid: str) -> Snapshot:
    if settings.service(service_sid) is None:
        raise CommandError(f"{service_sid} is not one of the configured Messaging Services.")
    source = open_configured_service(settings, service_sid).source
    return call_twilio(settings, f"Reading {service_sid} from Twilio", partial(source.read, time.time()))
