"""People who opt out and come back while things break: their last word holds, whatever clocks say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from loadtests.chaos.twilio import Exchange, Twilio
from loadtests.crowd.people import Person, person
from loadtests.crowd.texts import HOURS, START, STOP, Text

FIRST = 1_000_000
"""A person whom nobody else is."""

EACH_WAY = 6
"""People who are on the opt-out list in between, and as many who are not."""


class Minds:
    """Half of them are out before, back meanwhile, and out in the end; the other half the other way round."""

    def __init__(self, twilio: Twilio) -> None:
        self._twilio = twilio
        self._ones = [person(FIRST + number) for number in range(EACH_WAY)]
        self._others = [person(FIRST + EACH_WAY + number) for number in range(EACH_WAY)]
        self.answered: list[Exchange] = []
        self.silenced: list[Exchange] = []
        """Messages of those who are out."""

    async def before(self) -> None:
        """Let the ones opt out."""
        self.answered += await self._text(self._ones, STOP)

    async def meanwhile(self) -> None:
        """Let the ones come back, and the others opt out."""
        await self._change(self._ones, self._others)

    async def after(self) -> None:
        """Let the ones opt out again, and the others come back."""
        await self._change(self._others, self._ones)

    async def _change(self, back: Sequence[Person], out: Sequence[Person]) -> None:
        self.answered += await self._text(back, START)
        self.answered += await self._text(out, STOP)
        self.answered += await self._text(back, HOURS)
        self.silenced += await self._text(out, HOURS)

    async def _text(self, people: Sequence[Person], text: Text) -> list[Exchange]:
        return await asyncio.gather(*(self._twilio.deliver(each, text) for each in people))
