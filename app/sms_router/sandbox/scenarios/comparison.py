"""Compares what a step expects with what happened, and describes the differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from sms_router.sandbox.inbound.session import TextResult
from sms_router.sandbox.scenarios.scenario import ExpectedFailure, ExpectedMessage, ScenarioStep
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


def compare(step: ScenarioStep, observation: Observation) -> tuple[Mismatch, ...]:
    """Return every difference; where there is one, also the alerts, which may explain it."""
    mismatches = tuple(_mismatches(step, observation))
    is_about_alerts = step.alerts is not None or step.webhook is not None
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


def _mismatches(step: ScenarioStep, observation: Observation) -> Iterator[Mismatch]:
    result = observation.text_result
    if step.webhook and not (result and result.outcome is step.webhook):
        yield Mismatch("the webhook", step.webhook.value, _describe_outcome(result))
    if step.shows is not None:
        yield from _differences("message {number} on " + str(step.phone), step.shows, observation.received)
    if step.undelivered is not None:
        yield from _differences(f"not delivered to {step.phone}", step.undelivered, observation.missed)
    if step.alerts is not None and step.alerts != tuple(alert.code for alert in observation.alerts):
        codes = ", ".join(map(str, step.alerts)) or "none"
        yield Mismatch("alerts", codes, _describe_alerts(observation.alerts))


def _differences(
    what: str,
    expectations: Sequence[ExpectedMessage | ExpectedFailure],
    messages: Sequence[ObservedMessage],
) -> Iterator[Mismatch]:
    for number, (expected, message) in enumerate(zip_longest(expectations, messages), 1):
        if expected is None or message is None or not _matches(expected, message):
            yield Mismatch(what.format(number=number), _describe_expected(expected), _describe(message))


def _unexpected_alerts(observation: Observation) -> Mismatch:
    return Mismatch("alerts", "none that no step expects", _describe_alerts(observation.alerts))


def _matches(expected: ExpectedMessage | ExpectedFailure, message: ObservedMessage) -> bool:
    if expected.sender not in (None, message.sender):
        return False
    if isinstance(expected, ExpectedFailure):
        return expected.error == message.error
    return (
        expected.equals in (None, message.body)
        and all(part in message.body for part in expected.contains)
        and expected.media in (None, message.media)
        and expected.status in (None, message.status)
    )


def _describe_outcome(result: TextResult | None) -> str:
    if result is None:
        return "no text"
    failures = [
        f"{exchange.error_code} {exchange.reason}" for exchange in result.exchanges if exchange.error_code
    ]
    return f"{result.outcome.value} ({'; '.join(failures)})" if failures else result.outcome.value


def _describe_expected(expected: ExpectedMessage | ExpectedFailure | None) -> str:
    if expected is None:
        return "nothing more"
    if isinstance(expected, ExpectedFailure):
        return f"{expected.error}" + (f" from {expected.sender}" if expected.sender else "")
    parts = [
        f"from {expected.sender}" if expected.sender else "",
        "" if expected.equals is None else f"text {expected.equals!r}",
        *(f"contains {part!r}" for part in expected.contains),
        "" if expected.media is None else f"media {', '.join(expected.media) or 'none'}",
        f"status {expected.status}" if expected.status else "",
    ]
    return ", ".join(filter(None, parts)) or "any message"


def _describe(message: ObservedMessage | None) -> str:
    if message is None:
        return "nothing"
    media = f", media {', '.join(message.media)}" if message.media else ""
    status = f", {message.error}" if message.error else f", status {message.status}" if message.status else ""
    return f"from {message.sender}, text {message.body!r}{media}{status}"


def _describe_alerts(alerts: Sequence[DebuggerAlert]) -> str:
    return "; ".join(f"{alert.code} {alert.text}" for alert in alerts) or "none"
