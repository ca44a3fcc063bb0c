"""Playing the steps of a scenario on a running sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from enum import Enum

from sms_router.sandbox.inbound.incoming_text import Texted, receive_text
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.scenarios.comparison import Mismatch, Seen, Situation, differences, leftovers
from sms_router.sandbox.scenarios.scenario import Action, Become, Break, Check, Scenario, ScenarioStep, Wait
from sms_router.sandbox.world.world import PhoneState

LAST_WAIT = 0.3
"""Seconds of real time after the last step, in which nothing more may come."""

_LOOK = 0.02


class StepResult(Enum):
    """How a step went."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_PLAYED = "not played"


@dataclass(frozen=True, slots=True)
class Played:
    """A step, and in what it was not as expected."""

    title: str
    verdict: StepResult
    differences: tuple[Mismatch, ...] = ()


class ScenarioPlayer:
    """One scenario on one sandbox. What is looked at once is not looked at again."""

    def __init__(self, scenario: Scenario, platform: Platform, last_wait: float = LAST_WAIT) -> None:
        """Play ``scenario`` on ``platform``."""
        self._scenario = scenario
        self._here = platform
        self._last_wait = last_wait
        self._seen: set[str] = set()

    async def play(self) -> AsyncIterator[Played]:
        """Yield each step when it has ended; after one that failed the others are not played."""
        verdict = StepResult.PASSED
        for step in self._scenario.steps:
            if verdict is not StepResult.PASSED:
                yield Played(step.title, StepResult.NOT_PLAYED)
                continue
            played = await self._play(step)
            verdict = played.verdict
            yield played
        if verdict is StepResult.PASSED:
            yield await self._end()

    async def _play(self, step: ScenarioStep) -> Played:
        refused = self._impossible(step.action)
        if refused:
            return Played(step.title, StepResult.FAILED, (refused,))
        texted = await self._act(step.action)
        await self._here.pace.wait_until_idle()
        found = await self._differences(step.check, texted)
        return Played(step.title, StepResult.FAILED if found else StepResult.PASSED, found)

    def _impossible(self, action: Action) -> Mismatch | None:
        if not isinstance(action, IncomingText):
            return None
        state = self._here.phonebook.phone(action.sender).state
        if state is PhoneState.ON:
            return None
        return Mismatch(action.sender, "a phone that is on", f"one that is {state.value}")

    async def _act(self, action: Action) -> Texted | None:
        """Let it happen; return what came of a text."""
        here = self._here
        if isinstance(action, IncomingText):
            return await receive_text(here, action)
        if isinstance(action, Wait):
            await here.pace.advance(action.seconds)
        elif isinstance(action, Become):
            here.phonebook.change(action.phone, action.state, action.carrier)
        elif isinstance(action, Break):
            if action.faults:
                here.faults.switch_on(action.faults)
            else:
                here.faults.clear()
        return None

    async def _differences(self, check: Check, texted: Texted | None) -> tuple[Mismatch, ...]:
        """Compare until everything fits, or the time is up."""
        give_up = asyncio.get_running_loop().time() + check.within
        while True:
            now = replace(self._situation(check.phone), texted=texted)
            found = differences(check, now)
            if not found or asyncio.get_running_loop().time() > give_up:
                self._tick_off(check, now)
                return found
            await asyncio.sleep(_LOOK)

    async def _end(self) -> Played:
        await asyncio.sleep(self._last_wait)
        await self._here.pace.wait_until_idle()
        found: list[Mismatch] = []
        for phone in self._here.handsets.numbers:
            found += leftovers(phone, replace(self._situation(phone), alerts=()))
        found += leftovers("", Situation(alerts=self._situation("").alerts))
        return Played("nothing more happens", StepResult.FAILED if found else StepResult.PASSED, tuple(found))

    def _situation(self, phone: str) -> Situation:
        """Return what nobody has looked at yet."""
        inbox = self._here.handsets.inbox(phone)
        shown = [
            Seen(each.sid, each.sender, each.body, each.media, self._status(each.sid))
            for each in inbox.received
            if each.sid not in self._seen
        ]
        missed = [self._missed(sid) for sid in inbox.missed if sid not in self._seen]
        alerts = [alert for alert in self._here.alerts.newest_first() if alert.sid not in self._seen]
        return Situation(shown, missed, alerts[::-1])

    def _status(self, sid: str) -> str:
        message = self._here.messages.get(sid)
        return message.status.value if message else ""

    def _missed(self, sid: str) -> Seen:
        message = self._here.messages.get(sid)
        if message is None:
            return Seen(sid, "", "")
        status = message.status.value
        return Seen(sid, message.sender or "", message.body, message.media, status, message.error_code)

    def _tick_off(self, check: Check, now: Situation) -> None:
        if check.shows is not None:
            self._seen.update(seen.sid for seen in now.shown)
        if check.undelivered is not None:
            self._seen.update(seen.sid for seen in now.missed)
        if check.alerts is not None:
            self._seen.update(alert.sid for alert in self._here.alerts.newest_first())
