"""Checks of a Messaging Service: its settings and its Sender Pool; pure, snapshot in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sms_router.checks.finding import ExpectedSettings, Finding, Fix, Severity, is_same_endpoint, is_same_host
from sms_router.membership.snapshot import Snapshot
from sms_router.senders.country import CANADA, UNITED_STATES
from sms_router.senders.models import Capability, Sender, SenderKind

_FAILOVER_KINDS = frozenset({SenderKind.LONG_CODE, SenderKind.TOLL_FREE})
_TOLL_FREE_COUNTRIES = frozenset({UNITED_STATES, CANADA})

ServiceCheck = Callable[[Snapshot, ExpectedSettings], Iterator[Finding]]


def check_service(snapshot: Snapshot, expected: ExpectedSettings) -> tuple[Finding, ...]:
    findings = [finding for check in _CHECKS for finding in check(snapshot, expected)]
    return tuple(sorted(findings, key=lambda finding: list(Severity).index(finding.severity)))


def _inbound(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    url = snapshot.settings.inbound_request_url
    if url and is_same_endpoint(url, expected.inbound):
        return
    if url:
        sentence = f"Incoming messages go to {url}, not to this router at {expected.inbound}."
    elif snapshot.settings.use_inbound_webhook_on_number:
        sentence = "The Service has no inbound URL."
    else:
        sentence = "The inbound URL is not set: Twilio drops incoming messages without a log entry."
    yield _fixable(snapshot, expected, Severity.ERROR, sentence, inbound_request_url=expected.inbound)


def _number_webhooks(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    if snapshot.settings.use_inbound_webhook_on_number:
        sentence = "The Service uses the webhook of each number: the router does not receive its messages."
        yield _fixable(snapshot, expected, Severity.ERROR, sentence, use_inbound_webhook_on_number=False)


def _fallback(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    url, inbound = snapshot.settings.fallback_url, snapshot.settings.inbound_request_url
    if not url:
        sentence = "The fallback URL is not set: when the router does not respond, contacts get no reply."
    elif inbound and is_same_endpoint(url, inbound):
        sentence = "The fallback URL equals the inbound URL: a request that failed fails again."
    elif is_same_endpoint(url, expected.inbound):
        sentence = f"The fallback URL is {url}, the router's endpoint for first requests."
    else:
        if not is_same_endpoint(url, expected.fallback):
            sentence = f"The fallback URL is {url}, which has none of the router's stored answers."
            yield _note(snapshot, sentence, f"To answer each message only once, use {expected.fallback}")
        if is_same_host(url, inbound or expected.inbound):
            yield _note(
                snapshot,
                "The inbound and the fallback URL share one host: when all of it is down, contacts get no"
                " reply.",
                "A fallback elsewhere is described in docs/deploying.md.",
            )
        return
    yield _fixable(snapshot, expected, Severity.ERROR, sentence, fallback_url=expected.fallback)


def _methods(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    """Warn of GET: the text is then in the URL, whose length proxies limit (facts 11)."""
    settings = snapshot.settings
    if settings.inbound_method == "GET":
        sentence = f"The inbound method is GET: {_LONG_URL}."
        yield _fixable(snapshot, expected, Severity.WARNING, sentence, inbound_method="POST")
    if settings.fallback_method == "GET":
        sentence = f"The fallback method is GET: {_LONG_URL}."
        url = settings.fallback_url
        if url and not is_same_endpoint(url, expected.inbound) and not is_same_host(url, expected.fallback):
            remedy = "If the fallback URL takes POST: set the method to POST in the Twilio console."
            yield _note(snapshot, sentence, remedy)
        else:
            yield _fixable(snapshot, expected, Severity.WARNING, sentence, fallback_method="POST")


_LONG_URL = "a long text exceeds the length of URLs that proxies accept (nginx answers 414)"


def _number_methods(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    """Warn of GET where a number's own webhook is used, or is the router's."""
    ours = (expected.inbound, expected.fallback)
    for sender in snapshot.senders:
        own = snapshot.number_urls.get(sender.sid)
        if own is None or own.sms_application_sid:
            continue
        for setting, name, url, method in (
            ("sms_method", "webhook", own.sms_url, own.sms_method),
            ("sms_fallback_method", "fallback", own.sms_fallback_url, own.sms_fallback_method),
        ):
            is_ours = bool(url) and any(is_same_endpoint(url or "", endpoint) for endpoint in ours)
            is_used = bool(url) and snapshot.settings.use_inbound_webhook_on_number
            if method == "GET" and (is_ours or is_used):
                sentence = f"The {name} method of {sender.address} is GET: {_LONG_URL}."
                fixes = (Fix(setting, method, "POST", sender.sid),) if is_ours else ()
                remedy = (
                    "sms-router check --fix"
                    if is_ours
                    else f"If {url} takes POST: set the method to POST in the Twilio console."
                )
                yield _warning(snapshot, sentence, remedy, fixes)


def _status_callback(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    url = snapshot.settings.status_callback
    if url and is_same_endpoint(url, expected.status):
        return
    target = f"goes to {url}" if url else "is not set"
    yield _note(
        snapshot,
        f"The Service's status callback {target}; the router's own replies have one each.",
        f"To receive those of other messages too, set it to {expected.status} in the Twilio console.",
    )


def _empty_pool(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    if not snapshot.senders:
        sentence = "The Sender Pool is empty: the Service can neither receive nor send messages."
        remedy = f"sms-router senders list --all, then: sms-router senders add SID{_in(snapshot)}"
        yield Finding(Severity.ERROR, snapshot.service_sid, sentence, remedy)


def _senders_without_sms(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    for sender in snapshot.senders:
        if Capability.SMS not in sender.capabilities:
            sentence = f"{sender.address} cannot send SMS: no reply can be sent from it."
            yield _warning(snapshot, sentence, f"sms-router senders remove {sender.sid}{_in(snapshot)}")


def _short_codes_without_failover(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    has_other = any(sender.kind in _FAILOVER_KINDS for sender in _with_sms(snapshot))
    consequence = (
        "get replies from a number of another country, if it reaches them" if has_other else "get no reply"
    )
    for sender in _with_sms(snapshot):
        if sender.kind is SenderKind.SHORT_CODE and not _has_failover(snapshot, sender.country):
            yield _warning(
                snapshot,
                f"{sender.address} has no long code for failover in {sender.country or 'its country'}:"
                f" contacts whose carrier does not support short codes {consequence}.",
                f"Buy a number of that country at Twilio, then: sms-router senders add PN...{_in(snapshot)}",
            )


def _canadian_long_codes(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    kinds = {sender.kind for sender in _with_sms(snapshot) if sender.country == CANADA}
    toll_free = any(sender.kind is SenderKind.TOLL_FREE for sender in _with_sms(snapshot))
    if SenderKind.LONG_CODE in kinds and not toll_free:
        yield _warning(
            snapshot,
            "In Canada only a long code is available for failover, and carriers there filter application"
            " (A2P) traffic from long codes.",
            f"Buy a toll-free number at Twilio, then: sms-router senders add PN...{_in(snapshot)}",
        )


def _media(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    has_mms = any(Capability.MMS in sender.capabilities for sender in snapshot.senders)
    if expected.sends_media and snapshot.senders and not has_mms:
        yield Finding(
            Severity.ERROR,
            snapshot.service_sid,
            "Rules reply with media, and no sender of the Service can send MMS.",
            f"Find one that can: sms-router senders list --all, and add it: sms-router senders add"
            f" SID{_in(snapshot)}; or remove media from keywords.toml.",
        )


def _toll_free(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    senders = [sender for sender in snapshot.senders if sender.kind is SenderKind.TOLL_FREE]
    if len(senders) > 1:
        numbers = f"{len(senders)} toll-free numbers ({', '.join(sender.address for sender in senders)})"
        sentence = f"{numbers}: carriers may block more than one in a Service."
        yield _warning(snapshot, sentence, f"sms-router senders remove {senders[-1].sid}{_in(snapshot)}")


def _opt_out(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    yield _note(
        snapshot,
        "The API does not show whether Advanced Opt-Out is enabled.",
        "See Messaging, Services, Opt-Out Management in the Twilio console.",
    )


def _unused_urls(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    if snapshot.settings.use_inbound_webhook_on_number:
        return
    for sender in snapshot.senders:
        own = snapshot.number_urls.get(sender.sid)
        if own is not None and own.sms_application_sid:
            yield _note(
                snapshot,
                f"{sender.address} has the TwiML application {own.sms_application_sid}, which is not used"
                " while the number is in the Service; the router does not know its URLs.",
                "Forward its messages with a rule in keywords.toml:"
                f' numbers = ["{sender.address}"], forward = {{ url = "https://..." }}.',
            )
        elif own is not None and own.sms_url and not expected.number_urls:
            yield _note(
                snapshot,
                f"{sender.address} has its own URL, {own.sms_url}, which is not used in the Service.",
                "With number_urls = true in router.toml it gets the messages that match no keyword; Twilio"
                f" calls it again after: sms-router senders remove {sender.sid}{_in(snapshot)}",
            )


_CHECKS: tuple[ServiceCheck, ...] = (
    _inbound,
    _number_webhooks,
    _fallback,
    _methods,
    _number_methods,
    _empty_pool,
    _media,
    _senders_without_sms,
    _short_codes_without_failover,
    _canadian_long_codes,
    _toll_free,
    _status_callback,
    _opt_out,
    _unused_urls,
)


def _fixable(
    snapshot: Snapshot, expected: ExpectedSettings, severity: Severity, sentence: str, **settings: object
) -> Finding:
    """Return a finding that the API can fix, unless Twilio cannot reach the router."""
    fixes = tuple(Fix(name, getattr(snapshot.settings, name), value) for name, value in settings.items())
    if not expected.is_reachable:
        remedy = "Set PUBLIC_URL to a URL that Twilio can call, then: sms-router check --fix"
        return Finding(severity, snapshot.service_sid, sentence, remedy)
    return Finding(severity, snapshot.service_sid, sentence, "sms-router check --fix", fixes)


def _note(snapshot: Snapshot, sentence: str, remedy: str) -> Finding:
    return Finding(Severity.NOTE, snapshot.service_sid, sentence, remedy)


def _warning(snapshot: Snapshot, sentence: str, remedy: str, fixes: tuple[Fix, ...] = ()) -> Finding:
    return Finding(Severity.WARNING, snapshot.service_sid, sentence, remedy, fixes)


def _with_sms(snapshot: Snapshot) -> list[Sender]:
    return [sender for sender in snapshot.senders if sender.live and Capability.SMS in sender.capabilities]


def _has_failover(snapshot: Snapshot, country: str | None) -> bool:
    # Toll-free numbers serve both the United States and Canada.
    return any(
        sender.kind in _FAILOVER_KINDS
        and (
            sender.country == country
            or (sender.kind is SenderKind.TOLL_FREE and {sender.country, country} <= _TOLL_FREE_COUNTRIES)
        )
        for sender in _with_sms(snapshot)
    )


def _in(snapshot: Snapshot) -> str:
    return f" --service {snapshot.service_sid}"
