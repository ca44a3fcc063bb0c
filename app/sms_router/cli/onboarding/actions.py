"""What the onboarding commands read and change: checklists in Redis, port-in requests at Twilio."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from functools import partial

import redis

from sms_router.cli.output import CommandError, stderr
from sms_router.cli.store import read_store, store_client
from sms_router.cli.twilio_access import api_error, call_twilio, open_configured_service
from sms_router.config.settings import Settings
from sms_router.membership import audit_log
from sms_router.membership.admin import SenderType
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.source import PoolReadError
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


@dataclass(frozen=True, slots=True)
class PortingReport:
    """What was read from Twilio about the numbers in onboarding."""

    pending: tuple[Checklist, ...]
    texted: Mapping[str, float]
    ports: Mapping[str, PortedNumber]
    """By number, as far as they could be read."""
    members: Mapping[str, frozenset[str]]
    """The senders' addresses by Service, as far as they could be read."""
    with_voice: frozenset[str]
    """The numbers whose calls are answered at Twilio, as far as they could be read."""
    failures: tuple[str, ...]

    def apply(self, checklist: Checklist | None, at: float, _: str) -> Checklist | None:
        """Return a checklist with the progress that was read; see `Change`."""
        if checklist is None:
            return None
        return apply_progress(
            checklist,
            at,
            in_service=checklist.number in self.members.get(checklist.service_sid, ()),
            has_voice=checklist.number in self.with_voice,
            texted=self.texted.get(checklist.number),
            port=self.ports.get(checklist.number),
        )


def read_progress(settings: Settings, state: OnboardingState) -> PortingReport:
    failures: list[str] = []
    members, with_voice = {}, set[str]()
    for sid in sorted({checklist.service_sid for checklist in state.pending}):
        snapshot = _read_service(settings, sid, failures)
        if snapshot is None:
            continue
        members[sid] = frozenset(sender.address for sender in snapshot.senders)
        try:
            with_voice |= read_numbers_with_voice(settings, state, snapshot)
        except CommandError as error:
            failures.append(error.lines[0])
    ports = _read_ports(settings, state.pending, failures)
    return PortingReport(state.pending, state.texted, ports, members, frozenset(with_voice), tuple(failures))


def read_numbers_with_voice(settings: Settings, state: OnboardingState, snapshot: Snapshot) -> set[str]:
    """Return the pending numbers of a Service whose calls are answered at Twilio."""
    numbers = {
        checklist.number
        for checklist in state.pending
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
    settings: Settings, state: OnboardingState, snapshot: Snapshot, voice: Set[str]
) -> None:
    """Complete the step configure of the pending numbers that are in their Service with SMS and Voice.

    Args:
        settings: of the router.
        state: the numbers in onboarding.
        snapshot: of a Service.
        voice: the pending numbers whose calls are answered at Twilio.

    """
    members = {sender.address for sender in snapshot.senders}
    for checklist in state.pending:
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
            failures += _describe_unread(settings, error, request_sid, numbers)
            continue
        ports.update({number: request[number] for number in numbers if number in request})
        failures += [
            f"{number} is not part of the port-in request {request_sid}; {_request_hint(number)}"
            for number in numbers
            if number not in request
        ]
    return ports


def _describe_unread(
    settings: Settings, error: ApiError, request_sid: str, numbers: Iterable[str]
) -> list[str]:
    if error.failure.kind is not FailureKind.NOT_FOUND:
        return [f"{', '.join(numbers)}: {api_error(settings, error).lines[0]}"]
    return [
        f"{number}: this account has no port-in request {request_sid}; {_request_hint(number)}"
        for number in numbers
    ]


def _request_hint(number: str) -> str:
    return f"record the right one: sms-router onboarding request {number} KW..."


def _read_service(settings: Settings, service_sid: str, failures: list[str]) -> Snapshot | None:
    if settings.service(service_sid) is None:
        failures.append(f"{service_sid} is not one of the configured Messaging Services.")
        return None
    try:
        return open_configured_service(settings, service_sid).read()
    except PoolReadError as error:
        failures.append(api_error(settings, error).lines[0])
        return None
