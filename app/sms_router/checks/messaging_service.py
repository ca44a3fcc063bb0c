"""Twilio's settings of a Service against what the router needs: pure, a snapshot in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from sms_router.checks.finding import ExpectedSettings, Finding, Fix, Severity, same_place
from sms_router.membership.snapshot import Snapshot
from sms_router.senders.country import CANADA, UNITED_STATES
from sms_router.senders.models import Capability, Sender, SenderKind

_FALLBACKS = frozenset({SenderKind.LONG_CODE, SenderKind.TOLL_FREE})
_SHARED_TOLL_FREE = frozenset({UNITED_STATES, CANADA})

Inspection = Callable[[Snapshot, ExpectedSettings], Iterator[Finding]]


def check_service(snapshot: Snapshot, expected: ExpectedSettings) -> tuple[Finding, ...]:
    """Return every finding about a Service, the worst first."""
    found = [finding for look in _INSPECTIONS for finding in look(snapshot, expected)]
    return tuple(sorted(found, key=lambda finding: list(Severity).index(finding.severity)))


def _inbound(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    url = snapshot.settings.inbound_request_url
    if url and same_place(url, expected.inbound):
        return
    if url:
        sentence = f"Texts go to {url}, not to this router at {expected.inbound}."
    elif snapshot.settings.use_inbound_webhook_on_number:
        sentence = "The Service has no inbound URL of its own."
    else:
        sentence = "The inbound URL is not set: texts are dropped, and not even logged."
    yield _mendable(snapshot, expected, Severity.ERROR, sentence, inbound_request_url=expected.inbound)


def _deferring(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    if snapshot.settings.use_inbound_webhook_on_number:
        sentence = "The Service defers to each number's own webhook: the router does not see its texts."
        yield _mendable(snapshot, expected, Severity.ERROR, sentence, use_inbound_webhook_on_number=False)


def _fallback(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    settings = snapshot.settings
    if not settings.fallback_url:
        sentence = "No fallback URL is set: when the router does not answer, people get nothing."
    elif settings.inbound_request_url and same_place(settings.fallback_url, settings.inbound_request_url):
        sentence = "The fallback URL is the inbound URL: what fails once is asked again, and fails again."
    elif same_place(settings.fallback_url, expected.inbound):
        sentence = f"The fallback URL is {settings.fallback_url}, where the router answers first requests."
    else:
        if not same_place(settings.fallback_url, expected.fallback):
            sentence = (
                f"The fallback URL is {settings.fallback_url}, which knows none of the router's answers."
            )
            yield _note(snapshot, sentence, f"To let the router answer once only, use {expected.fallback}")
        return
    yield _mendable(snapshot, expected, Severity.ERROR, sentence, fallback_url=expected.fallback)


def _status_callback(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    url = snapshot.settings.status_callback
    if url and same_place(url, expected.status):
        return
    where = f"goes to {url}" if url else "is not set"
    yield _note(
        snapshot,
        f"The Service's status callback {where}; the router's own replies carry theirs.",
        f"To hear of other senders' messages too, set it to {expected.status} in the Twilio console.",
    )


def _empty(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    if not snapshot.senders:
        yield Finding(
            Severity.ERROR,
            snapshot.service_sid,
            "The Service has no senders: nobody can text it, and nothing can answer.",
            f"sms-router senders list --all, then: sms-router senders add SID{_in(snapshot)}",
        )


def _useless(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    for sender in snapshot.senders:
        if Capability.SMS not in sender.capabilities:
            yield Finding(
                Severity.WARNING,
                snapshot.service_sid,
                f"{sender.address} cannot send SMS: no answer can leave from it.",
                f"sms-router senders remove {sender.sid}{_in(snapshot)}",
            )


def _stranded_short_codes(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    elsewhere = any(sender.kind in _FALLBACKS for sender in _texting(snapshot))
    gets = "are answered from another country's number, if it reaches them" if elsewhere else "get nothing"
    for sender in _texting(snapshot):
        if sender.kind is SenderKind.SHORT_CODE and not _fallen_back_on(snapshot, sender.country):
            yield Finding(
                Severity.WARNING,
                snapshot.service_sid,
                f"{sender.address} has no long code beside it in {sender.country or 'its country'}:"
                f" people whose carrier does not carry short codes {gets}.",
                f"Buy a number there at Twilio, then: sms-router senders add PN...{_in(snapshot)}",
            )


def _canadian_long_codes(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    kinds = {sender.kind for sender in _texting(snapshot) if sender.country == CANADA}
    toll_free = any(sender.kind is SenderKind.TOLL_FREE for sender in _texting(snapshot))
    if SenderKind.LONG_CODE in kinds and not toll_free:
        yield Finding(
            Severity.WARNING,
            snapshot.service_sid,
            "In Canada only a long code is left to fall back on, and carriers there filter"
            " application traffic from long codes.",
            f"Buy a toll-free number at Twilio, then: sms-router senders add PN...{_in(snapshot)}",
        )


def _pictures(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    able = any(Capability.MMS in sender.capabilities for sender in snapshot.senders)
    if expected.sends_media and snapshot.senders and not able:
        yield Finding(
            Severity.ERROR,
            snapshot.service_sid,
            "Rules answer with pictures, and no number of the Service can send MMS.",
            f"Add one that can: sms-router senders list --all, then senders add SID{_in(snapshot)};"
            " or take media out of keywords.toml.",
        )


def _toll_free(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    found = [each for each in snapshot.senders if each.kind is SenderKind.TOLL_FREE]
    if len(found) > 1:
        addresses = ", ".join(sender.address for sender in found)
        yield Finding(
            Severity.WARNING,
            snapshot.service_sid,
            f"{len(found)} toll-free numbers ({addresses}): carriers may block more than one in a Service.",
            f"sms-router senders remove {found[-1].sid}{_in(snapshot)}",
        )


def _opt_out(snapshot: Snapshot, _: ExpectedSettings) -> Iterator[Finding]:
    yield _note(
        snapshot,
        "Whether Advanced Opt-Out is on cannot be read from the API.",
        "See Messaging, Services, Opt-Out Management in the Twilio console.",
    )


def _hidden_urls(snapshot: Snapshot, expected: ExpectedSettings) -> Iterator[Finding]:
    if snapshot.settings.use_inbound_webhook_on_number:
        return
    for sender in snapshot.senders:
        own = snapshot.number_urls.get(sender.sid)
        if own is not None and own.sms_application_sid:
            yield _note(
                snapshot,
                f"{sender.address} has the TwiML application {own.sms_application_sid}, which the Service"
                " hides: the router knows none of its URLs.",
                "Forward its texts by a rule in keywords.toml:"
                f' numbers = ["{sender.address}"], forward = {{ url = "https://..." }}.',
            )
        elif own is not None and own.sms_url and not expected.number_urls:
            yield _note(
                snapshot,
                f"{sender.address} has a URL of its own, {own.sms_url}, which the Service hides.",
                "number_urls = true in router.toml gives it what no keyword claims; Twilio calls it again"
                f" once the number leaves: sms-router senders remove {sender.sid}{_in(snapshot)}",
            )


_INSPECTIONS: tuple[Inspection, ...] = (
    _inbound,
    _deferring,
    _fallback,
    _empty,
    _pictures,
    _useless,
    _stranded_short_codes,
    _canadian_long_codes,
    _toll_free,
    _status_callback,
    _opt_out,
    _hidden_urls,
)


def _mendable(
    snapshot: Snapshot, expected: ExpectedSettings, severity: Severity, sentence: str, **wanted: object
) -> Finding:
    """Return a finding that the API can mend, as far as Twilio can reach the router."""
    before: Mapping[str, object] = {name: getattr(snapshot.settings, name) for name in wanted}
    mendings = tuple(Fix(name, before[name], value) for name, value in wanted.items())
    if not expected.reachable:
        remedy = "Set PUBLIC_URL to what Twilio can call, then: sms-router check --fix"
        return Finding(severity, snapshot.service_sid, sentence, remedy)
    return Finding(severity, snapshot.service_sid, sentence, "sms-router check --fix", mendings)


def _note(snapshot: Snapshot, sentence: str, remedy: str) -> Finding:
    return Finding(Severity.NOTE, snapshot.service_sid, sentence, remedy)


def _texting(snapshot: Snapshot) -> list[Sender]:
    return [each for each in snapshot.senders if each.live and Capability.SMS in each.capabilities]


def _fallen_back_on(snapshot: Snapshot, country: str | None) -> bool:
    """Tell whether a number serves a country; toll-free ones serve the United States and Canada alike."""
    return any(
        each.kind in _FALLBACKS
        and (
            each.country == country
            or (each.kind is SenderKind.TOLL_FREE and {each.country, country} <= _SHARED_TOLL_FREE)
        )
        for each in _texting(snapshot)
    )


def _in(snapshot: Snapshot) -> str:
    return f" --service {snapshot.service_sid}"
