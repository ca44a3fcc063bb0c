"""A clock that tests drive: an event loop that never waits, and scripts that read the loop's time."""

from __future__ import annotations

import asyncio
import random
import selectors
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import redis

from sms_router.store.scripts import Call

START = 1_000_000.0


class _DrivenSelector(selectors.SelectSelector):
    """Sets the clock forward where a loop would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "every task waits for another one"
        self.now += max(timeout, 0.0)
        return []


class DrivenLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only where all tasks wait; there is no I/O."""

    def __init__(self) -> None:
        self._selector_of_time = _DrivenSelector()
        super().__init__(self._selector_of_time)

    def time(self) -> float:
        return self._selector_of_time.now


def run_driven(work: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a coroutine in a driven loop; ``time.monotonic`` and ``time.time`` return the loop's time."""

    async def run() -> None:
        await work()

    with asyncio.Runner(loop_factory=DrivenLoop) as runner, monkeypatch.context() as patch:
        loop = runner.get_loop()
        patch.setattr(time, "monotonic", loop.time)
        patch.setattr(time, "time", loop.time)
        runner.run(run())


class DrivenStore:
    """Runs scripts on a real server, at once, with delays before and after by the driven clock.

    Args:
        client: of the server.
        random_delay: returns seconds.
        observe: is called with each script run and its result, in the order in which the server ran them.

    """

    def __init__(
        self,
        client: redis.Redis,
        random_delay: Callable[[], float],
        observe: Callable[[Call, Any], None],
    ) -> None:
        self._client = client
        self._random_delay = random_delay
        self._observe = observe
        self.is_crashed = False
        self.stalled_until = 0.0
        """Until then, renewals wait."""

    async def run(self, call: Call, _timeout: float | None = None) -> Any:
        await self._delay(self._random_delay())
        if call[0].name == "renew_lease" and (stall := self.stalled_until - time.monotonic()) > 0:
            await self._delay(stall)
        now = time.monotonic()
        script, keys, arguments = call
        server_time = b"{%d, %d}" % (int(now), now % 1 * 1_000_000)
        source = script.source.replace(b"redis.call('TIME')", server_time)
        run = cast("Callable[..., Any]", self._client.eval)
        result = run(source, len(keys), *keys, *arguments)
        self._observe(call, result)
        await self._delay(self._random_delay())
        return result

    async def _delay(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self.is_crashed:
            await asyncio.Event().wait()

    def retry_pending(self) -> None:
        """Nothing waits in the spool: this server always serves."""


def random_delays(chance: random.Random) -> Callable[[], float]:
    """Return delays of a busy network, many of them none."""
    return lambda: chance.choice((0.0, 0.0, 0.0, 0.001, 0.01, 0.05, 0.09))
