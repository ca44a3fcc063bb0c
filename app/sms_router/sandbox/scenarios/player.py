"""Plays the steps of a scenario on a running sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from enum import Enum

from sms_router.sandbox.inbound.incoming_text import TextResult, receive_text
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.scenarios.comparison import (
    Mismatch,
    Observation,
    ObservedMessage,
    compare,
    find_unchecked,
)
from sms_router.sandbox.scenarios.scenario import (
    Action,
    ChangePhone,
    Check,
    Scenario,
    ScenarioStep,
    SetFaults,
    Wait,
)
from sms_router.sandbox.world.world import PhoneState

FINAL_WAIT = 0.3
"""Seconds of real time after the last step, in which nothing more may arrive."""

_POLL_INTERVAL = 0.02
"""Seconds."""


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

    def __init__(self, scenario: Scenario, platform: Platform, final_wait: float = FINAL_WAIT) -> None:
        self._scenario = scenario
        self._platform = platform
        self._final_wait = final_wait
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
        if isinstance(step.action, IncomingText):
            state = self._platform.phonebook.phone(step.action.sender).state
            if state is not PhoneState.ON:
                mismatch = Mismatch(step.action.sender, "a phone that is on", f"one that is {state.value}")
                return _ended(step.title, (mismatch,))
        text_result = await self._perform(step.action)
        await self._platform.time_control.wait_until_idle()
        return _ended(step.title, await self._check(step.check, text_result))

    async def _perform(self, action: Action) -> TextResult | None:
        platform = self._platform
        if isinstance(action, IncomingText):
            return await receive_text(platform, action)
        if isinstance(action, Wait):
            await platform.time_control.advance(action.seconds)
        elif isinstance(action, ChangePhone):
            platform.phonebook.change(action.phone, action.state, action.carrier)
        elif isinstance(action, SetFaults):
            if action.faults:
                platform.faults.switch_on(action.faults)
            else:
                platform.faults.clear()
        return None

    async def _check(self, check: Check, text_result: TextResult | None) -> tuple[Mismatch, ...]:
        """Compare until there is no difference, or the step's time has passed."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + check.within
        while True:
            observation = replace(self._observe(check.phone), text_result=text_result)
            mismatches = compare(check, observation)
            if not mismatches or loop.time() > deadline:
                self._mark_checked(check, observation)
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

    def _mark_checked(self, check: Check, observation: Observation) -> None:
        if check.shows is not None:
            self._checked.update(message.sid for message in observation.received)
        if check.undelivered is not None:
            self._checked.update(message.sid for message in observation.missed)
        if check.alerts is not None:
            self._checked.update(alert.sid for alert in self._platform.alerts.newest_first())


def _ended(title: str, mismatches: tuple[Mismatch, ...]) -> PlayedStep:
    return PlayedStep(title, StepResult.FAILED if mismatches else StepResult.PASSED, mismatches)
