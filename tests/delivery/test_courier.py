"""The courier's own life; what it carries is tried on whole routers in tests/road."""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.delivery.courier import Courier
from app.delivery.entries import Entry, Piece
from app.delivery.letter import Letter, Marked, Result, Unknown, Withdrawn
from app.delivery.outbox import Outbox
from tests.routing.workers import worker


class NoClerk:
    """Decides nothing, since nothing is there."""

    async def work(self, entry: Entry) -> None:
        """Do nothing."""

    def letter(self, entry: Entry, piece: Piece, marked: Marked) -> Letter | Withdrawn:
        """Send nothing."""
        return Withdrawn("nothing is sent here", dead_letter=False)

    async def sent(self, entry: Entry, piece: Piece, letter: Letter, result: Result) -> bool:
        """Hear nothing."""
        return False


async def send(letter: Letter) -> Result:
    return Unknown("nothing is sent here")


async def test_a_stop_is_heard_although_something_was_put_into_the_outbox_just_before(
    valkey_url: str, tmp_path: Path
) -> None:
    async with worker(valkey_url, tmp_path) as one:
        courier = Courier(Outbox(one.store, one.journal, 7, 3600), send, lambda kind, how: None)
        courier.start(NoClerk())
        for _ in range(100):
            await asyncio.sleep(0.005)  # until it rests, waiting to be woken
        courier.nudge("+14155550123")
        async with asyncio.timeout(10):
            await courier.aclose()
