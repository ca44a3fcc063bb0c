"""Plays the steps of a scenario on a running sandbox, and compares what happens with what they expect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import zip_longest

from sms_router.sandbox.inbound.session import TextResult, receive_text
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.scenarios.scenario import (
    ChangePort,
    ExpectedFailure,
    ExpectedMessage,
    Scenario,
    ScenarioStep,
)
from sms_router.sandbox.state.alerts import DebuggerAlert
from sms_router.sandbox.state.ports import PortStatus
from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.world import PhoneState

FINAL_WAIT = 0.3
"""Seconds of real time after the last step, in which nothing more may arrive."""

PORT_DATE_AFTER = timedelta(days=7)
"""From the carrier's approval to the port date: the soonest that Twilio takes."""

MAX_OUTPUT_SHOWN = 1000
"""Characters of a command whose output differs."""

_USAGE_ERROR = 2
"""The exit code of a command that cannot succeed when it is repeated."""

_POLL_INTERVAL = 0.02
"""Seconds."""

CommandRunner = Callable[[Sequence[str]], Awaitable[tuple[int, str]]]
"""Runs ``sms-router`` with arguments, beside the scenario's router; returns its exit code and its output."""


class StepResult(Enum):
    """How a step ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_PLAYED = "not played"


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


@dataclass(frozen=True, slots=True)
class PlayedStep:
    """A step with its result."""

    title: str
    result: StepResult
    differences: tuple[Mismatch, ...] = ()


class ScenarioPlayer:
    """One scenario on one sandbox. What one step has checked is not checked again by another."""

    def __init__(
        self,
        scenario: Scenario,
        platform: Platform,
        final_wait: float = FINAL_WAIT,
        run_command: CommandRunner | None = None,
    ) -> None:
        self._scenario = scenario
        self._platform = platform
        self._final_wait = final_wait
        self._run_command = run_command
        self._checked: set[str] = set()
        """Sids of messages and alerts."""

    async def play(self) -> AsyncIterator[PlayedStep]:
        """Yield each step when it has ended; after one that failed the others are not played."""
        result = StepResult.PASSED
        for step in self._scenario.steps:
            if result is not StepResult.PASSED:
                yield PlayedStep(step.title, StepResult.NOT_PLAYED)
                continue
            played = await self._play(step)
            result = played.result
            yield played
        if result is StepResult.PASSED:
            yield await self._play_end()

    async def _play(self, step: ScenarioStep) -> PlayedStep:
        phone = step.phone or ""
        if step.is_text:
            state = self._platform.phonebook.phone(phone).state
            if state is not PhoneState.ON:
                mismatch = Mismatch(phone, "a phone that is on", f"one that is {state.value}")
                return _ended(step.title, (mismatch,))
        if step.command is not None:
            return _ended(step.title, await self._check_command(step.command, step))
        text_result = await self._perform(step, phone)
        await self._platform.time_control.wait_until_idle()
        return _ended(step.title, await self._check(step, text_result))

    async def _perform(self, step: ScenarioStep, phone: str) -> TextResult | None:
        platform = self._platform
        if step.is_text:
            number = next(number for number in platform.world.numbers if number.address == step.to)
            text = IncomingText(phone, number, step.texts or "", step.media, step.group)
            return await receive_text(platform, text)
        if step.wait is not None:
            await platform.time_control.advance(step.wait)
        elif step.state or step.carrier:
            carrier = platform.phonebook.carriers[step.carrier] if step.carrier else None
            platform.phonebook.change(phone, step.state, carrier)
        elif step.port:
            self._change_port(step.port)
        elif step.faults == FaultSet():
            platform.faults.clear()
        elif step.faults is not None:
            platform.faults.switch_on(step.faults)
        return None

    def _change_port(self, change: ChangePort) -> None:
        ports, number = self._platform.ports, change.number
        opened = (port for port in ports.requests if number in port.addresses)
        port = next(opened, None) or ports.open([number])
        approved = change.status is PortStatus.PENDING
        day = datetime.now(UTC) + PORT_DATE_AFTER if approved else None  # routers read it by their own clock
        ports.set_status(port, [number], change.status, day, change.reason)

    async def _check_command(self, command: Sequence[str], step: ScenarioStep) -> tuple[Mismatch, ...]:
        """Run a command until it prints what is expected, or the step's time has passed."""
        assert self._run_command is not None, "a scenario with commands has its own router"
        loop = asyncio.get_running_loop()
        deadline = loop.time() + step.within
        sid = next((port.sid for port in self._platform.ports.requests), "")
        arguments = [argument.replace("{port}", sid) for argument in command]
        while True:
            code, output = await self._run_command(arguments)
            missing = [text for text in step.prints if text not in output]
            if (not code and not missing) or code == _USAGE_ERROR or loop.time() > deadline:
                expected = " and ".join(map(repr, missing)) or "exit code 0"
                got = f"exit code {code}: {output[-MAX_OUTPUT_SHOWN:].strip()}"
                return (Mismatch("the command", expected, got),) if code or missing else ()

    async def _check(self, step: ScenarioStep, text_result: TextResult | None) -> tuple[Mismatch, ...]:
        """Compare until there is no difference, or the step's time has passed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + step.within
        while True:
            observation = replace(self._observe(step.phone or ""), text_result=text_result)
            mismatches = _compare(step, observation)
            if not mismatches or loop.time() > deadline:
                self._mark_checked(step, observation)
                return mismatches
            await asyncio.sleep(_POLL_INTERVAL)

    async def _play_end(self) -> PlayedStep:
        """Wait for what may still arrive, and require that each message and alert has been checked."""
        await asyncio.sleep(self._final_wait)
        await self._platform.time_control.wait_until_idle()
        mismatches: list[Mismatch] = []
        for phone in self._platform.inboxes.numbers:
            mismatches += _find_unchecked(phone, replace(self._observe(phone), alerts=()))
        mismatches += _find_unchecked("", Observation(alerts=self._observe("").alerts))
        return _ended("nothing more happens", tuple(mismatches))

    def _observe(self, phone: str) -> Observation:
        """Return what no step has checked yet."""
        inbox = self._platform.inboxes.get(phone)
        received = [
            ObservedMessage(shown.sid, shown.sender, shown.body, shown.media, self._status(shown.sid))
            for shown in inbox.received
            if shown.sid not in self._checked
        ]
        missed = [self._missed(sid) for sid in inbox.missed if sid not in self._checked]
        newest_first = self._platform.alerts.newest_first()
        alerts = [alert for alert in newest_first if alert.sid not in self._checked]
        return Observation(received, missed, alerts[::-1])

    def _status(self, sid: str) -> str:
        message = self._platform.messages.get(sid)
        return message.status.value if message else ""

    def _missed(self, sid: str) -> ObservedMessage:
        message = self._platform.messages.get(sid)
        if message is None:
            return ObservedMessage(sid, "", "")
        status = message.status.value
        return ObservedMessage(
            sid, message.sender or "", message.body, message.media, status, message.error_code
        )

    def _mark_checked(self, step: ScenarioStep, observation: Observation) -> None:
        if step.shows is not None:
            self._checked.update(message.sid for message in observation.received)
        if step.undelivered is not None:
            self._checked.update(message.sid for message in observation.missed)
        if step.alerts is not None:
            self._checked.update(alert.sid for alert in self._platform.alerts.newest_first())


def _ended(title: str, mismatches: tuple[Mismatch, ...]) -> PlayedStep:
    return PlayedStep(title, StepResult.FAILED if mismatches else StepResult.PASSED, mismatches)


def _compare(step: ScenarioStep, observation: Observation) -> tuple[Mismatch, ...]:
    """Return every difference; where there is one, also the alerts, which may explain it."""
    mismatches = tuple(_mismatches(step, observation))
    is_about_alerts = step.alerts is not None or step.webhook is not None
    if mismatches and observation.alerts and not is_about_alerts:
        return (*mismatches, _unexpected_alerts(observation))
    return mismatches


def _find_unchecked(phone: str, observation: Observation) -> Iterator[Mismatch]:
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
