"""The store: scripts on Redis behind a breaker.

While Redis is well, `Store.run` is one command on the pipelined wire. When the connection is lost,
or an answer is owed for longer than `STALL`, the breaker opens: every caller is told at once instead
of each waiting for a timeout of its own, and a background task knocks until Redis answers again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import hiredis

from app.store.errors import StoreUnavailableError
from app.store.scripts import ALL, Script
from app.store.wire import Address, Answer, Argument, Wire, connect

log = logging.getLogger("sms_router.store")

STALL = 0.2
"""Seconds that one answer may be owed before Redis counts as frozen."""

WATCH_EVERY = 0.05
GRACE = 0.02
"""Seconds for answers that lie unread because this process itself was held up."""

CONNECT_TIMEOUT = 2.0
KNOCK_EVERY = 0.25


class Store:
    """Redis as the rest of the router sees it; made once per worker."""

    def __init__(self, url: str) -> None:
        """Remember where Redis is; `start` connects.

        Raises:
            ValueError: when the URL is not redis://, rediss:// or unix://.

        """
        self._address = Address.of(url)
        self._wire: Wire | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._attention = asyncio.Event()
        self._watch: asyncio.TimerHandle | None = None
        self._on_return: Callable[[], Awaitable[None]] | None = None
        self.trouble: str | None = "not connected yet"
        """Why Redis does not serve, or None while it is well."""

    async def start(self, on_return: Callable[[], Awaitable[None]] | None = None) -> None:
        """Connect, or begin to knock: the router starts either way.

        ``on_return`` runs at the start and whenever Redis comes back.
        """
        self._on_return = on_return
        with contextlib.suppress(StoreUnavailableError):
            await self._open()
        self._attention.set()
        self._keeper = asyncio.create_task(self._keep(), name="store-keeper")

    async def aclose(self) -> None:
        """Stop knocking and close the connection."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._watch is not None:
            self._watch.cancel()
        self._drop("closed")

    async def run(self, script: Script, keys: tuple[bytes, ...], arguments: tuple[Argument, ...]) -> Answer:
        """Run a script and return its answer.

        Raises:
            StoreUnavailableError: at once while the breaker is open, else soon after `STALL`.

        """
        wire = self._wire
        if wire is None:
            raise StoreUnavailableError(self.trouble or "not connected")
        if self._watch is None:
            self._watch = wire.loop.call_later(WATCH_EVERY, self._look, wire, False)
        answer = await wire.send((b"EVALSHA", script.digest, script.keys, *keys, *arguments))
        if isinstance(answer, hiredis.ReplyError):
            answer = await self._second_try(wire, script, keys, arguments, answer)
        return answer

    def ask_for_return(self) -> None:
        """Have ``on_return`` run again soon: something waits for it."""
        self._attention.set()

    async def _second_try(
        self,
        wire: Wire,
        script: Script,
        keys: tuple[bytes, ...],
        arguments: tuple[Argument, ...],
        error: hiredis.ReplyError,
    ) -> Answer:
        """Send the source where Redis has forgotten the script; any other error is trouble.

        Out of memory, loading, read-only: Redis is there and answers fast, so the breaker stays
        closed, but the operator is told and the keeper looks after the spool.
        """
        if str(error).startswith("NOSCRIPT"):
            answer = await wire.send((b"EVAL", script.source, script.keys, *keys, *arguments))
            if not isinstance(answer, hiredis.ReplyError):
                return answer
            error = answer
        self.trouble = f"Redis answered the script {script.name}: {error}"
        self._attention.set()
        raise StoreUnavailableError(self.trouble)

    def _look(self, wire: Wire, once_more: bool) -> None:
        """Open the breaker when an answer is owed for too long."""
        self._watch = None
        if wire is not self._wire or not wire.longest_wait:
            return
        if wire.longest_wait < STALL:
            self._watch = wire.loop.call_later(WATCH_EVERY, self._look, wire, False)
        elif once_more:
            self._drop(f"no answer for {STALL:g} s")
        else:
            # This process may itself have been held up: read what has arrived, then look again.
            self._watch = wire.loop.call_later(GRACE, self._look, wire, True)

    def _drop(self, trouble: str) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            self.trouble = trouble
            wire.close()
            self._attention.set()

    def _closed(self, wire: Wire) -> None:
        if wire is self._wire:
            self._drop("the connection was closed")

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                wire = await connect(self._address, self._closed)
                await _load_scripts(wire)
        except (OSError, TimeoutError, StoreUnavailableError) as error:
            self.trouble = f"cannot be reached: {error or 'no answer in time'}"
            raise StoreUnavailableError(self.trouble) from error
        self._wire, self.trouble = wire, None

    async def _keep(self) -> None:
        """Reconnect when the wire is lost; call ``on_return`` whenever Redis serves again."""
        while True:
            await self._attention.wait()
            self._attention.clear()
            if self.trouble is not None:
                log.warning("Redis does not serve (%s); answering from memory until it returns", self.trouble)
            while not await self._serves():
                await asyncio.sleep(KNOCK_EVERY)
            await asyncio.sleep(KNOCK_EVERY)

    async def _serves(self) -> bool:
        """Try to make Redis serve: a connection, then the work that has waited for it."""
        try:
            troubled = self.trouble is not None
            if self._wire is None:
                await self._open()
            if self._on_return is not None:
                await self._on_return()
        except StoreUnavailableError:
            return False
        self.trouble = None
        if troubled:
            log.info("Redis serves again")
        return True


async def _load_scripts(wire: Wire) -> None:
    for loading in [wire.send((b"SCRIPT", b"LOAD", script.source)) for script in ALL]:
        answer = await loading
        if isinstance(answer, hiredis.ReplyError):
            wire.close()
            raise StoreUnavailableError(str(answer))
