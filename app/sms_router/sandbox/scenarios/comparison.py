"""Compares what a step expects with what happened, and describes the differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from sms_router.sandbox.inbound.incoming_text import TextResult
from sms_router.sandbox.scenarios.scenario import Check, ExpectedFailure, ExpectedMessage
from sms_router.sandbox.state.alerts import DebuggerAlert


@dataclass(frozen=True, slots=True)
class ObservedMessage:
    """A message that a phone received, or that did not reach it."""

    sid: str
    sender: str
    body: str
    media: tuple[str, ...] = ()
    status: str = ""
    error: int | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What happened and no step has checked; ``text_result`` is that of the step's own text."""

    received: Sequence[ObservedMessage] = ()
    missed: Sequence[ObservedMessage] = ()
    alerts: Sequence[DebuggerAlert] = ()
    text_result: TextResult | None = None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference, in words."""

    what: str
    expected: str
    got: str


def compare(check: Check, observation: Observation) -> tuple[Mismatch, ...]:
    """Return every difference; where there is one, also the alerts, which may explain it."""
    mismatches = tuple(_mismatches(check, observation))
    is_about_alerts = check.alerts is not None or check.outcome is not None
    if mismatches and observation.alerts and not is_about_alerts:
        return (*mismatches, _unexpected_alerts(observation))
    return mismatches


def find_unchecked(phone: str, observation: Observation) -> Iterator[Mismatch]:
    """Yield what no step has checked by the end."""
    for message in observation.received:
        yield Mismatch(f"a message on {phone}", "nothing more", _describe(message))
    for message in observation.missed:
        yield Mismatch(f"not delivered to {phone}", "nothing more", _describe(message))
    if observation.alerts:
        yield _unexpected_alerts(observation)


def _mismatches(check: Check, observation: Observation) -> Iterator[Mismatch]:
    result = observation.text_result
    if check.outcome and not (result and result.outcome is check.outcome):
        yield Mismatch("the webhook", check.outcome.value, _describe_outcome(result))
    if check.shows is not None:
        for number, (expected, message) in enumerate(zip_longest(check.shows, observation.received), 1):
            if expected is None or message is None or not _matches(expected, message):
                what = f"message {number} on {check.phone}"
                yield Mismatch(what, _describe_expected(expected), _describe(message))
    if check.undelivered is not None:
        for failure, message in zip_longest(check.undelivered, observation.missed):
            if failure is None or message is None or not _is_failure(failure, message):
                what = f"not delivered to {check.phone}"
                yield Mismatch(what, _describe_failure(failure), _describe(message))
    if check.alerts is not None and check.alerts != tuple(alert.code for alert in observation.alerts):
        codes = ", ".join(map(str, check.alerts)) or "none"
        yield Mismatch("alerts", codes, _describe_alerts(observation.alerts))


def _unexpected_alerts(observation: Observation) -> Mismatch:
    return Mismatch("alerts", "none that no step expects", _describe_alerts(observation.alerts))


def _matches(expected: ExpectedMessage, message: ObservedMessage) -> bool:
    return (
        expected.sender in (None, message.sender)
        and expected.equals in (None, message.body)
        and all(part in message.body for part in expected.contains)
        and expected.media in (None, message.media)
        and expected.status in (None, message.status)
    )


def _is_failure(expected: ExpectedFailure, message: ObservedMessage) -> bool:
    return expected.error == message.error and expected.sender in (None, message.sender)


def _describe_outcome(result: TextResult | None) -> str:
    if result is None:
        return "no text"
    failures = [
        f"{exchange.error_code} {exchange.reason}" for exchange in result.exchanges if exchange.error_code
    ]
    return f"{result.outcome.value} ({'; '.join(failures)})" if failures else result.outcome.value


def _describe_expected(expected: ExpectedMessage | None) -> str:
    if expected is None:
        return "nothing more"
    parts = [
        f"from {expected.sender}" if expected.sender else "",
        "" if expected.equals is None else f"text {expected.equals!r}",
        *(f"contains {part!r}" for part in expected.contains),
        "" if expected.media is None else f"media {', '.join(expected.media) or 'none'}",
        f"status {expected.status}" if expected.status else "",
    ]
    return ", ".join(filter(None, parts)) or "any message"


def _describe_failure(expected: ExpectedFailure | None) -> str:
    if expected is None:
        return "nothing more"
    return f"{expected.error}" + (f" from {expected.sender}" if expected.sender else "")


def _describe(message: ObservedMessage | None) -> str:
    if message is None:
        return "nothing"
    media = f", media {', '.join(message.media)}" if message.media else ""
    status = f", {message.error}" if message.error else f", status {message.status}" if message.status else ""
    return f"from {message.sender}, text {message.body!r}{media}{status}"


def _describe_alerts(alerts: Sequence[DebuggerAlert]) -> str:
    return "; ".join(f"{alert.code} {alert.text}" for alert in alerts) or "none"
