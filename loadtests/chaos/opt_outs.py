"""Contacts who opt out and in during a fault: their last STOP or START counts, whatever the clocks show."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from loadtests.chaos.twilio_client import MessageExchange, TwilioClient
from loadtests.workload.contacts import Contact, make_contact
from loadtests.workload.texts import HOURS, START, STOP, Text

FIRST_CONTACT = 1_000_000
"""The index of the first of these contacts; the rest of the traffic uses lower ones."""

GROUP_SIZE = 6


STOP_INTERVAL = 0.25
"""Seconds between two contacts of `StopTraffic`."""


class StopTraffic:
    """Contacts who opt out at any time, by either replica; when all is repaired they must get no reply."""

    def __init__(self, twilio: TwilioClient) -> None:
        self._twilio = twilio
        self._stops: list[asyncio.Task[MessageExchange]] = []
        self.exchanges: list[MessageExchange] = []
        """The STOPs."""

    async def run(self) -> None:
        """Send STOPs until it is cancelled."""
        while True:
            contact = make_contact(2 * FIRST_CONTACT + len(self._stops))
            self._stops.append(asyncio.create_task(self._twilio.deliver(contact, STOP)))
            await asyncio.sleep(STOP_INTERVAL)

    async def finish(self) -> None:
        """Wait for the answers."""
        self.exchanges = list(await asyncio.gather(*self._stops))

    async def find_lost(self) -> list[str]:
        """Text again, to both replicas, and return who got a reply."""
        lost = []
        for stop in self.exchanges:  # one by one, because the proxies have to keep up
            text = await self._twilio.deliver(stop.contact, HOURS, twice=True)
            if any(b"<Message" in body for body in text.bodies):
                lost.append(f"{stop.contact.number} was texted {text.sid} after the STOP {stop.sid}")
        return lost


class OptOutTraffic:
    """Two groups of contacts that are never on the opt-out list at the same time.

    The first group is on it before the fault and after its repair, the second during the fault.
    """

    def __init__(self, twilio: TwilioClient) -> None:
        self._twilio = twilio
        self._first = [make_contact(FIRST_CONTACT + number) for number in range(GROUP_SIZE)]
        self._second = [make_contact(FIRST_CONTACT + GROUP_SIZE + number) for number in range(GROUP_SIZE)]
        self.exchanges: list[MessageExchange] = []
        """Messages that must get a reply."""
        self.opted_out: list[MessageExchange] = []
        """Messages that must not get a reply."""

    async def before_fault(self) -> None:
        """Opt the first group out."""
        self.exchanges += await self._send(self._first, STOP)

    async def during_fault(self) -> None:
        """Opt the first group in, and the second out."""
        await self._change(opt_in=self._first, opt_out=self._second)

    async def after_repair(self) -> None:
        """Opt the first group out, and the second in."""
        await self._change(opt_in=self._second, opt_out=self._first)

    async def _change(self, opt_in: Sequence[Contact], opt_out: Sequence[Contact]) -> None:
        self.exchanges += await self._send(opt_in, START)
        self.exchanges += await self._send(opt_out, STOP)
        self.exchanges += await self._send(opt_in, HOURS)
        self.opted_out += await self._send(opt_out, HOURS)

    async def _send(self, contacts: Sequence[Contact], text: Text) -> list[MessageExchange]:
        return await asyncio.gather(*(self._twilio.deliver(contact, text) for contact in contacts))
