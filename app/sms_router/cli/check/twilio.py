"""Twilio's side of ``sms-router check``: what is found, and what the API can mend of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sms_router.checks.credentials import check_account, check_callback_host, check_public_url
from sms_router.checks.error_advice import advise
from sms_router.checks.finding import ExpectedSettings, Finding, Fix, Severity
from sms_router.checks.messaging_service import check_service
from sms_router.checks.onboarding import check_orphans, check_pending_numbers
from sms_router.cli.check.store import check_store
from sms_router.cli.context import has_store, store_client
from sms_router.cli.onboarding.actions import known_arrivals
from sms_router.cli.output import CommandError, stderr
from sms_router.cli.twilio_access import ServiceAccess, apply_change, operation_on
from sms_router.config.settings import Settings, load_settings
from sms_router.membership.snapshot import Snapshot
from sms_router.membership.snapshot_diff import describe_changes, diff_snapshots
from sms_router.membership.snapshot_store import stored_snapshot
from sms_router.membership.source import PoolReadError
from sms_router.onboarding.repository import OnboardingState
from sms_router.routing.dispatch.dispatcher import Dispatcher
from sms_router.routing.dispatch.resolution import RuleAction
from sms_router.routing.keywords.templates import StaticReply, TemplateReply
from sms_router.twilio.rest import ApiError

SANDBOX_AWAY = "The sandbox does not answer, so Twilio's side was not looked at. Start it: make run"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found at Twilio."""

    findings: tuple[Finding, ...]
    skipped: str | None = None
    """Why Twilio was not asked, when it was not."""

    @property
    def mendings(self) -> Mapping[str, tuple[Fix, ...]]:
        """What the API would change, by Service."""
        mendings: dict[str, tuple[Fix, ...]] = {}
        for finding in self.findings:
            if finding.fixes:
                mendings[finding.subject] = mendings.get(finding.subject, ()) + finding.fixes
        return mendings

    def has(self, severity: Severity) -> bool:
        """Tell whether there are findings of this severity."""
        return any(finding.severity is severity for finding in self.findings)


def run_checks(settings: Settings, rules: Dispatcher) -> CheckReport:
    """Compare every Service at Twilio with what the router needs; what cannot be read is a finding."""
    arrivals, at = _on_their_way(settings)
    findings = [
        *_general(settings),
        *check_store(settings),
        *check_orphans(arrivals, {service.sid for service in settings.services}),
    ]
    for service in settings.services:
        operation = operation_on(settings, service.sid)
        try:
            with stderr.status(f"Reading {service.sid} from Twilio ..."):
                snapshot = operation.source.read(time.time())
        except PoolReadError as error:
            if load_settings().offline and error.failure.status is None:
                return CheckReport(tuple(findings), SANDBOX_AWAY)
            remedy = advise(error.failure)
            findings.append(Finding(Severity.ERROR, service.sid, f"{service.sid} cannot be read.", remedy))
            continue
        findings += check_service(snapshot, _expected(settings, rules, service.sid))
        members = {sender.address for sender in snapshot.senders}
        findings += check_pending_numbers(arrivals, service.sid, members, at)
        findings += _drift(settings, snapshot)
        findings += _account(operation)
    order = list(Severity)
    return CheckReport(
        tuple(sorted(dict.fromkeys(findings), key=lambda finding: order.index(finding.severity)))
    )


def apply_fixes(settings: Settings, mendings: Mapping[str, Iterable[Fix]]) -> None:
    """Let the API change each Service.

    Raises:
        CommandError: when it refuses.

    """
    for service_sid, wanted in mendings.items():
        before = {each.name: each.before for each in wanted}
        after = {each.name: each.after for each in wanted}
        _update(operation_on(settings, service_sid), before, after)


def _update(operation: ServiceAccess, before: Mapping[str, object], after: Mapping[str, object]) -> None:
    apply_change(
        operation,
        "update",
        operation.service_sid,
        f"the Service: {describe_changes(before, after)}",
        lambda: operation.resources.update_service(after),
    )


def _general(settings: Settings) -> Iterator[Finding]:
    """What concerns all Services."""
    if not settings.services:
        yield Finding(
            Severity.WARNING,
            "services",
            "No Messaging Service is configured: every answer leaves from the number that was texted.",
            "export TWILIO_MESSAGING_SERVICE_SID=MG...",
        )
    for key in settings.placeholders:
        sentence = f"{key} is a placeholder: no webhook names it, and Twilio does not know it."
        yield Finding(Severity.ERROR, key, sentence, "Write the sid that the Twilio console shows.")
    yield from check_callback_host(settings.public_url)
    if not settings.twilio.api_base_url:
        yield from check_public_url(settings.public_url, configured=bool(settings.router.public_url))


def _expected(settings: Settings, rules: Dispatcher, service_sid: str) -> ExpectedSettings:
    reachable = bool(settings.twilio.api_base_url) or not any(
        check_public_url(settings.public_url, configured=bool(settings.router.public_url))
    )
    return ExpectedSettings(
        settings.public_url, reachable, _sends_media(rules, service_sid), settings.number_urls(service_sid)
    )


def _sends_media(rules: Dispatcher, service_sid: str) -> bool:
    """Tell whether a rule of this Service answers with pictures; functions tell only when they run."""
    return any(
        _has_media(rule.action)
        for rule in rules.table.rules
        if not rule.scope.services or service_sid in rule.scope.services
    )


def _has_media(answer: RuleAction) -> bool:
    if isinstance(answer, StaticReply):
        return bool(answer.constant.media_urls)
    return isinstance(answer, TemplateReply) and bool(answer.media)


def _on_their_way(settings: Settings) -> tuple[OnboardingState, float]:
    """Return the numbers on their way and the time; another finding tells that Redis is away."""
    try:
        return known_arrivals(settings)
    except CommandError:
        return OnboardingState(), time.time()


def _drift(settings: Settings, now: Snapshot) -> Iterator[Finding]:
    """What has changed since the routers last looked."""
    if not has_store(settings):
        return
    try:
        with store_client(settings) as client:
            stored = stored_snapshot(client, now.service_sid)
    except CommandError:
        return  # told already
    found = diff_snapshots(stored, now) if stored else ()
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        sentence = f"Twilio has changed since the routers last looked: {found[0]}{more}."
        yield Finding(Severity.NOTE, now.service_sid, sentence, "sms-router membership refresh")


def _account(operation: ServiceAccess) -> Iterator[Finding]:
    """What Twilio says of the account; where it says nothing, there is nothing to find."""
    settings, sid = operation.settings, operation.resources.account_sid
    account = settings.account(sid)
    try:
        state = operation.resources.account_state()
    except ApiError:
        return
    if not account.shared_keys:  # with those, tokens need not sign at all (facts 2.3)
        yield from check_account(sid, state, account.tokens)
