"""Going on in time, and knowing when everything that was going to happen has happened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from sms_router.sandbox.background import BackgroundTasks
from sms_router.sandbox.clock import Clock, ManualClock

LONGEST_UNREST = 10.0
"""Seconds of real time that ``quiet`` waits; a webhook that hangs is not waited for any longer."""

_LOOK = 0.002
"""Seconds between two looks."""


class TimeControl:
    """Drives the clock of one sandbox, and waits for what runs in the background."""

    def __init__(self, clock: Clock, work: Sequence[BackgroundTasks]) -> None:
        """Watch over ``work``, whose sleep is counted by ``clock``."""
        self._clock = clock
        self._work = work

    @property
    def busy(self) -> bool:
        """True while something is under way that does not wait for a later moment of the clock."""
        asleep = self._clock.sleepers if isinstance(self._clock, ManualClock) else 0
        return sum(tasks.running for tasks in self._work) > asleep

    async def wait_until_idle(self, longest: float = LONGEST_UNREST) -> bool:
        """Wait until nothing is under way, or ``longest`` real seconds; say whether it is quiet."""
        give_up = asyncio.get_running_loop().time() + longest
        while self.busy and asyncio.get_running_loop().time() < give_up:
            await asyncio.sleep(_LOOK)
        return not self.busy

    async def advance(self, seconds: float) -> None:
        """Drive a manual clock from one awaited moment to the next, as real time would have come."""
        clock = self._clock
        if not isinstance(clock, ManualClock):
            raise TypeError("only a ManualClock can be driven")
        await self.wait_until_idle()
        end = clock.now() + timedelta(seconds=seconds)
        while (alarm := clock.next_alarm) is not None and alarm <= end:
            clock.advance((alarm - clock.now()).total_seconds())
            await asyncio.sleep(0)
            await self.wait_until_idle()
        clock.advance((end - clock.now()).total_seconds())
        await self.wait_until_idle()
