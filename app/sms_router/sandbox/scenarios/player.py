"""Plays the steps of a scenario on a running sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum

from sms_router.sandbox.inbound.session import TextResult, receive_text
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.scenarios.comparison import (
    Mismatch,
    Observation,
    ObservedMessage,
    compare,
    find_unchecked,
)
from sms_router.sandbox.scenarios.scenario import ChangePort, Scenario, ScenarioStep
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
            mismatches = compare(step, observation)
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
            mismatches += find_unchecked(phone, replace(self._observe(phone), alerts=()))
        mismatches += find_unchecked("", Observation(alerts=self._observe("").alerts))
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
