"""One scenario: people text steadily, something breaks, it is mended, and the journal is held against it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from loadtests.chaos.audit import Audit, audit
from loadtests.chaos.faults import Scenario
from loadtests.chaos.late import look_at_phones
from loadtests.chaos.minds import Minds
from loadtests.chaos.site import THE_ACCOUNT, Site, running_site
from loadtests.chaos.twilio import Exchange, Twilio
from loadtests.crowd.people import person
from loadtests.crowd.texts import EVERYDAY, HOURS, LATE, SLOWLY, STOP, Text

OPTED_OUT = 10
"""People who have texted STOP before anything breaks."""

TWICE = 0.1
"""Share of the messages that are delivered twice at once."""

STRICKEN = 0.15
"""Share of the messages that go to a handler at fault."""

SETTLES_WITHIN = 25.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How much and how long."""

    rate: float = 60.0
    """Messages a second."""
    before: float = 1.5
    during: float = 4.0
    after: float = 2.0


class Traffic:
    """People who text until they are told to stop."""

    def __init__(self, twilio: Twilio, scenario: Scenario, pace: Pace) -> None:
        self._twilio = twilio
        self._scenario = scenario
        self._pace = pace
        self._dice = random.Random(scenario.name)
        self._stricken = False
        self._tasks: list[asyncio.Task[Exchange]] = []
        self.exchanges: list[Exchange] = []
        self.silenced: list[Exchange] = []
        """Messages of people who have opted out."""

    async def opt_out(self) -> None:
        """Let some people opt out, and wait for the answers."""
        stops = [self._twilio.deliver(person(number), STOP) for number in range(OPTED_OUT)]
        self.exchanges += await asyncio.gather(*stops)

    def strike(self, *, stricken: bool) -> None:
        """Begin or end to text to handlers at fault."""
        self._stricken = stricken

    async def flow(self, seconds: float) -> None:
        """Text steadily for a while."""
        began = time.monotonic()
        due = 0
        while (elapsed := time.monotonic() - began) < seconds:
            while due < elapsed * self._pace.rate:
                self._tasks.append(asyncio.create_task(self._one(len(self._tasks))))
                due += 1
            await asyncio.sleep(0.005)

    async def finish(self) -> None:
        """Wait for everything under way."""
        opted_out = {person(number) for number in range(OPTED_OUT)}
        for exchange in await asyncio.gather(*self._tasks):
            (self.silenced if exchange.person in opted_out else self.exchanges).append(exchange)

    async def aclose(self) -> None:
        """Stop what is still under way, as after an error."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _one(self, number: int) -> Exchange:
        if number % 20 == 0:
            return await self._twilio.deliver(person(number // 20 % OPTED_OUT), HOURS)
        text = self._text()
        twice = self._dice.random() < TWICE and not (text.unique and self._scenario.blinds)
        return await self._twilio.deliver(person(OPTED_OUT + number), text, twice=twice)

    def _text(self) -> Text:
        if self._stricken and self._dice.random() < STRICKEN:
            return self._dice.choice(self._scenario.texts)
        return self._dice.choice((*EVERYDAY, SLOWLY, LATE))


async def play(scenario: Scenario, pace: Pace, folder: Path) -> Audit:
    """Play a scenario in an empty folder and return what came of it."""
    async with running_site(folder, scenario.needs) as site:
        urls = [replica.url for replica in site.replicas]
        async with Twilio(THE_ACCOUNT, urls) as twilio:
            traffic = Traffic(twilio, scenario, pace)
            minds = Minds(twilio) if not scenario.blinds else None
            try:
                await traffic.opt_out()
                await _break_and_mend(site, scenario, traffic, pace, minds)
                await traffic.finish()
            finally:
                await traffic.aclose()
        if minds is not None:
            traffic.exchanges += minds.answered
            traffic.silenced += minds.silenced
        found = await _settled(site, traffic, scenario)
        return replace(found, notes=tuple(site.notes))


async def _break_and_mend(
    site: Site, scenario: Scenario, traffic: Traffic, pace: Pace, minds: Minds | None
) -> None:
    if minds is not None:
        await minds.before()
    await traffic.flow(pace.before)
    traffic.strike(stricken=bool(scenario.texts))
    during = asyncio.create_task(traffic.flow(pace.during))
    for fault in scenario.faults:
        await fault.strike(site)
        await asyncio.sleep(0.2)
    if minds is not None:
        await minds.meanwhile()
    await during
    traffic.strike(stricken=False)
    after = asyncio.create_task(traffic.flow(pace.after))
    for fault in scenario.faults:
        await fault.mend(site)
    if minds is not None:
        await minds.after()
    await after


async def _settled(site: Site, traffic: Traffic, scenario: Scenario) -> Audit:
    """Return the audit, once nothing is missing or it has had its time."""
    blind = scenario.blinds
    excused = any(fault.deafens for fault in scenario.faults)
    give_up = time.monotonic() + SETTLES_WITHIN
    for _ in _moments():
        found = await asyncio.to_thread(audit, site, traffic.exchanges, traffic.silenced, blind)
        found = replace(found, late=await look_at_phones(site, traffic.exchanges, excused=excused))
        if not (found.lost or found.late.missing) or time.monotonic() > give_up:
            return found
        await asyncio.sleep(0.25)
    raise AssertionError


def _moments() -> Iterator[None]:
    while True:
        yield
