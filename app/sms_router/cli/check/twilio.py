"""The checks of the Messaging Services at Twilio, and their fixes, for ``sms-router check``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sms_router.checks.credentials import check_account, check_callback_host, check_public_url
from sms_router.checks.error_advice import advise
from sms_router.checks.finding import ExpectedSettings, Finding, Fix, Severity
from sms_router.checks.messaging_service import check_service
from sms_router.checks.onboarding import check_orphans, check_pending_numbers
from sms_router.cli.check.store import check_published_rules, check_store
from sms_router.cli.context import START_COMMAND
from sms_router.cli.onboarding.actions import read_numbers_with_voice, read_state, record_configured
from sms_router.cli.output import CommandError
from sms_router.cli.store import read_store
from sms_router.cli.twilio_access import ServiceAccess, apply_change, open_configured_service
from sms_router.config.settings import Settings, load_settings
from sms_router.membership.admin import SenderType
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.snapshot_diff import describe_changes, diff_snapshots
from sms_router.membership.snapshot_store import stored_snapshot
from sms_router.membership.source import PoolReadError
from sms_router.onboarding.repository import OnboardingState
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.keywords.templates import StaticReply, TemplateReply
from sms_router.twilio.rest import ApiError

SANDBOX_NOT_RUNNING = (
    f"The sandbox does not run, so the settings at Twilio were not checked. Start it: {START_COMMAND}"
)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The findings of all checks."""

    findings: tuple[Finding, ...]
    skipped: str | None = None
    """Why Twilio was not checked; None when it was."""

    @property
    def fixes(self) -> Mapping[str, tuple[Fix, ...]]:
        """The changes that the API can make, by Service."""
        fixes: dict[str, tuple[Fix, ...]] = {}
        for finding in self.findings:
            if finding.fixes:
                fixes[finding.subject] = fixes.get(finding.subject, ()) + finding.fixes
        return fixes

    def has(self, severity: Severity) -> bool:
        return any(finding.severity is severity for finding in self.findings)


def run_checks(settings: Settings, rules: Dispatcher) -> CheckReport:
    """Check Redis and every Service at Twilio; one that cannot be read is a finding."""
    onboarding, at = _read_onboarding(settings)
    findings = [
        *_check_settings(settings),
        *check_store(settings),
        *check_published_rules(settings),
        *check_orphans(onboarding, {service.sid for service in settings.services}),
    ]
    for service in settings.services:
        access = open_configured_service(settings, service.sid)
        try:
            snapshot = access.read()
        except PoolReadError as error:
            if load_settings().is_offline and error.failure.status is None:
                return CheckReport(tuple(findings), SANDBOX_NOT_RUNNING)
            remedy = advise(error.failure)
            findings.append(Finding(Severity.ERROR, service.sid, f"{service.sid} cannot be read.", remedy))
            continue
        findings += check_service(snapshot, _expected(settings, rules, service.sid))
        members = {sender.address for sender in snapshot.senders}
        try:
            with_voice = read_numbers_with_voice(settings, onboarding.pending, snapshot)
        except CommandError as error:
            sentence, with_voice = "Its numbers cannot be read.", members
            findings.append(Finding(Severity.ERROR, service.sid, sentence, error.lines[0]))
        else:
            record_configured(settings, onboarding.pending, snapshot, with_voice)
        findings += check_pending_numbers(onboarding, service.sid, members, with_voice, at)
        findings += _check_changes(settings, snapshot)
        findings += _check_account(access)
    order = list(Severity)
    return CheckReport(tuple(sorted(dict.fromkeys(findings), key=lambda each: order.index(each.severity))))


def apply_fixes(settings: Settings, fixes: Mapping[str, Sequence[Fix]]) -> None:
    for service_sid, of_service in fixes.items():
        access = open_configured_service(settings, service_sid)
        for number_sid in dict.fromkeys(fix.number_sid for fix in of_service):
            before = {fix.name: fix.before for fix in of_service if fix.number_sid == number_sid}
            after = {fix.name: fix.after for fix in of_service if fix.number_sid == number_sid}
            call: Callable[[], object] = partial(access.admin.update_service, after)
            if number_sid:
                sender_type = SenderType(number_sid[:2])
                call = partial(access.admin.update_number, sender_type, number_sid, after)
            detail = f"{number_sid or 'the Service'}: {describe_changes(before, after)}"
            apply_change(access, "update", number_sid or service_sid, detail, call)


def _check_settings(settings: Settings) -> Iterator[Finding]:
    if not settings.services:
        sentence = "No Messaging Service is configured: every reply leaves from the number that was texted."
        yield Finding(Severity.WARNING, "services", sentence, "export TWILIO_MESSAGING_SERVICE_SID=MG...")
    for key in settings.placeholders:
        sentence = f"{key} is a placeholder, which exists neither in webhooks nor at Twilio."
        yield Finding(Severity.ERROR, key, sentence, "Write the sid that the Twilio console shows.")
    yield from check_callback_host(settings.public_url)
    yield from _check_public_url(settings)


def _expected(settings: Settings, rules: Dispatcher, service_sid: str) -> ExpectedSettings:
    """Return what the router needs; what handlers reply is not known."""
    sends_media = any(
        bool(rule.action.constant.media_urls)
        if isinstance(rule.action, StaticReply)
        else isinstance(rule.action, TemplateReply) and bool(rule.action.media)
        for rule in rules.table.rules
        if not rule.scope.services or service_sid in rule.scope.services
    )
    is_reachable, number_urls = not any(_check_public_url(settings)), settings.number_urls(service_sid)
    return ExpectedSettings(settings.public_url, is_reachable, sends_media, number_urls)


def _check_public_url(settings: Settings) -> Iterator[Finding]:
    if not settings.twilio.api_base_url:
        yield from check_public_url(settings.public_url, configured=bool(settings.router.public_url))


def _read_onboarding(settings: Settings) -> tuple[OnboardingState, float]:
    """Return the numbers in onboarding and the time; `check_store` reports when Redis is not available."""
    try:
        return read_state(settings)
    except CommandError:
        return OnboardingState(), time.time()


def _check_changes(settings: Settings, current: Snapshot) -> Iterator[Finding]:
    try:
        stored = read_store(settings, lambda client: stored_snapshot(client, current.service_sid), None)
    except CommandError:
        return  # reported by check_store
    changes = diff_snapshots(stored, current) if stored else ()
    if changes:
        more = f", and {len(changes) - 1} more" if len(changes) > 1 else ""
        sentence = f"Twilio has changed since the routers last read it: {changes[0]}{more}."
        yield Finding(Severity.NOTE, current.service_sid, sentence, "sms-router membership refresh")


def _check_account(service: ServiceAccess) -> Iterator[Finding]:
    settings, sid = service.settings, service.admin.account_sid
    account = settings.account(sid)
    try:
        state = service.admin.account_state()
    except ApiError:
        return  # the Service was read, so the account exists
    if not account.shared_keys:  # with SharedKeys, tokens need not sign (facts 2.3)
        yield from check_account(sid, state, account.tokens)
