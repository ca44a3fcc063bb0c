"""One Redis server behind a breaker.

While Redis is well, `Server.run` is one command on the pipelined wire. When the connection is lost,
or an answer is owed for longer than `STALL`, the breaker opens: every caller is told at once instead
of each waiting for a timeout of its own, and a background task knocks until Redis answers again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial

import hiredis

from sms_router.store.address import Address, Command
from sms_router.store.connection import PipelinedConnection, RedisReply, connect, send_all
from sms_router.store.errors import RedirectedError, ScriptFailedError, StoreUnavailableError
from sms_router.store.keys import PROBE
from sms_router.store.scripts import SCRIPTS, Call, Script
from sms_router.store.slots import RedirectKind, redirection_of
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.store")

STALL_TIMEOUT = 0.2
"""Seconds that one answer may be owed before Redis counts as frozen."""

WATCH_EVERY = 0.05
GRACE = 0.02
"""Seconds for answers that lie unread because this process itself was held up."""

CONNECT_TIMEOUT = 2.0
RECONNECT_INTERVAL = 0.25

_LOADING_SCRIPTS = tuple(("SCRIPT", "LOAD", script.source) for script in SCRIPTS.values())

Locate = Callable[[], Awaitable[Address]]
"""Says where the server is now; asked before each connection.

Raises:
    StoreUnavailableError: when nobody knows.

"""

_ERROR_CODE = re.compile(r"(?:^| -)([A-Z]+)\b")
_OWN_FAULTS = frozenset({"ERR", "WRONGTYPE"})
"""Errors that speak of one script run and its keys; all others speak of Redis."""

_NEED_ANOTHER_URL = {
    b"cluster": "{0} is a node of a Redis Cluster; set REDIS_URL=redis+cluster://{0}",
    b"sentinel": "{0} is a Sentinel; set REDIS_URL=redis+sentinel://{0}/mymaster, with your master's name",
}


Observe = Callable[[str, float], None]


def unobserved(script: str, seconds: float) -> None:
    """Do nothing: nobody measures."""


class RedisClient:
    """One server, or the present master: its connection, and the task that reconnects when it is lost."""

    def __init__(
        self,
        locate: Locate,
        *,
        node: str = "",
        probe: bytes = PROBE,
        on_change: Callable[[], None] = lambda: None,
        observe: Observe = unobserved,
    ) -> None:
        """Remember how the server is found; `start` connects.

        ``node`` is the name of a Cluster's node, empty for a server that has everything. ``probe`` is a
        key that it holds. ``on_change`` is called when it stops serving, and when it serves again.
        ``observe`` is told the name of each script and the seconds until its answer.
        """
        self._observe = observe
        self._locate = locate
        self._node = node
        self._name = f"The Redis node {node}" if node else "Redis"
        self._on_change = on_change
        self._asked = ""
        """The host that we are connected to: an answer that names none means it."""
        self.probe = probe
        self._wire: PipelinedConnection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._attention = asyncio.Event()
        self._watch: asyncio.TimerHandle | None = None
        self._on_return: Callable[[], Awaitable[None]] | None = None
        self._told = False
        self.trouble: str | None = "not connected yet"
        """Why Redis does not serve, or None while it is well."""

    async def start(self, on_return: Callable[[], Awaitable[None]] | None = None) -> None:
        """Connect, or begin to knock: the router starts either way.

        ``on_return`` runs at the start and whenever Redis comes back; when it raises
        `StoreUnavailableError` it runs again as soon as Redis serves.
        """
        self._on_return = on_return
        with contextlib.suppress(StoreUnavailableError):
            await self._open()
        self._attention.set()
        self._keeper = asyncio.create_task(self._keep(), name="store-keeper")

    async def aclose(self) -> None:
        """Stop knocking and close the connection; callers that wait for an answer are told."""
        await cancel_and_wait(self._keeper)
        wire = self._wire
        self._open_circuit("closed")
        if wire is not None:
            await wire.wait_closed()

    async def run(
        self,
        call: Call,
        patience: float | None = None,
    ) -> RedisReply:
        """Run a script and return its answer.

        ``patience`` is how many seconds this caller can wait, give or take `WATCH_EVERY`; it does not
        make Redis count as frozen.

        Raises:
            StoreUnavailableError: at once while the breaker is open, else soon after `STALL`.
            ScriptFailedError: when Redis serves and this script run failed.

        """
        wire = self._wire
        if wire is None:
            raise StoreUnavailableError(self.trouble or "not connected")
        script, keys, arguments = call
        asked = time.monotonic()
        answer = await self._ask(wire, script.by_digest + keys + arguments, patience)
        self._observe(script.name, time.monotonic() - asked)
        if isinstance(answer, hiredis.ReplyError):
            answer = await self._second_try(wire, call, answer)
        return answer

    def ask_for_return(self) -> None:
        """Run ``on_return`` again soon: something waits for it."""
        self._attention.set()

    async def run_asking(
        self,
        call: Call,
        patience: float | None = None,
    ) -> RedisReply:
        """Run a script on keys that are on their way to this node of a Cluster.

        Raises:
            StoreUnavailableError: as `run`.

        """
        wire = self._wire
        if wire is None:
            raise StoreUnavailableError(self.trouble or "not connected")
        script, keys, arguments = call
        self._ask(wire, ("ASKING",), patience)  # holds for the next command of this connection
        answer = await self._ask(wire, script.by_source + keys + arguments, patience)
        if isinstance(answer, hiredis.ReplyError):
            raise self._classify(script, answer)
        return answer

    def _ask(
        self, wire: PipelinedConnection, command: Command, patience: float | None = None
    ) -> asyncio.Future[RedisReply]:
        """Send a command, and watch for its answer."""
        answer = wire.send(command, patience)
        if self._watch is None:
            self._watch = wire.loop.call_later(WATCH_EVERY, self._check_stall, False)
        return answer

    async def _second_try(
        self,
        wire: PipelinedConnection,
        call: Call,
        error: hiredis.ReplyError,
    ) -> RedisReply:
        """Send the source where Redis does not have the script; any other error is raised."""
        script, keys, arguments = call
        if str(error).startswith("NOSCRIPT"):
            answer = await self._ask(wire, script.by_source + keys + arguments)
            if not isinstance(answer, hiredis.ReplyError):
                return answer
            error = answer
        raise self._classify(script, error)

    def _classify(self, script: Script, error: hiredis.ReplyError) -> StoreUnavailableError:
        """Return what an error means to the caller.

        Out of memory, read-only, busy: Redis is there and answers fast, so the breaker stays
        closed, but the operator is told and the keeper looks after the spool.
        """
        reason = f"Redis answered the script {script.name}: {error}"
        if self._node and (redirection := redirection_of(str(error), self._asked)) is not None:
            return RedirectedError(reason, redirection)
        if _code(error) in _OWN_FAULTS:
            log.error("%s", reason)
            return ScriptFailedError(reason)
        self.trouble = reason
        self._attention.set()
        return StoreUnavailableError(reason)

    def _check_stall(self, once_more: bool) -> None:
        """Open the breaker when an answer is owed for too long."""
        self._watch = None
        wire = self._wire
        waited = wire.oldest_pending if wire is not None else None
        if wire is None or waited is None:
            return
        wire.expire_callers()
        if waited < STALL_TIMEOUT:
            self._watch = wire.loop.call_later(WATCH_EVERY, self._check_stall, False)
        elif once_more:
            self._open_circuit(f"no answer for {STALL_TIMEOUT:g} s")
        else:
            # This process may itself have been held up: read what has arrived, then look again.
            self._watch = wire.loop.call_later(GRACE, self._check_stall, True)

    def _open_circuit(self, trouble: str) -> None:
        self.trouble = trouble
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()
            self._attention.set()

    def _closed(self, wire: PipelinedConnection) -> None:
        if wire is self._wire:
            self._open_circuit("the connection was closed")

    async def _open(self) -> None:
        """Connect anew, and prove that Redis lets us write."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                address = await self._locate()
                wire = await connect(address, self._closed, partial(self._prepare, address))
        except (OSError, TimeoutError, StoreUnavailableError) as error:
            self.trouble = f"cannot be reached: {str(error) or 'no answer in time'}"
            raise StoreUnavailableError(self.trouble) from error
        self._wire, self._asked = wire, address.host
        await self._prove(wire)

    async def _prepare(self, address: Address, wire: PipelinedConnection) -> None:
        """Load the scripts, unless the server needs another kind of URL."""
        mode = b"" if self._node else await _mode(wire)
        if mode in _NEED_ANOTHER_URL:
            raise StoreUnavailableError(_NEED_ANOTHER_URL[mode].format(address))
        await send_all(wire, _LOADING_SCRIPTS)

    async def _prove(self, wire: PipelinedConnection) -> None:
        """Write something: a server that refuses it would refuse the scripts too."""
        answer = await self._ask(wire, ("SET", self.probe, "1", "PX", 1000))
        moved = isinstance(answer, hiredis.ReplyError) and self._node and _code(answer) in set(RedirectKind)
        if moved or not isinstance(answer, hiredis.ReplyError):
            self.trouble = None
            return
        self.trouble = f"Redis refuses to write: {answer}"
        if _code(answer) == "READONLY":  # after a failover the name leads to another server: ask for it anew
            self._open_circuit(self.trouble)
        raise StoreUnavailableError(self.trouble)

    async def _keep(self) -> None:
        """Reconnect when the wire is lost; call ``on_return`` whenever Redis serves again."""
        while True:
            await self._attention.wait()
            self._log_transition()
            while not await self._serves():
                self._log_transition()
                await asyncio.sleep(RECONNECT_INTERVAL)
            self._log_transition()
            await asyncio.sleep(RECONNECT_INTERVAL)

    async def _serves(self) -> bool:
        """Try to make Redis serve: a connection, then the work that has waited for it."""
        self._attention.clear()
        try:
            if self._wire is None:
                await self._open()
            elif self.trouble is not None:
                await self._prove(self._wire)
            if self._on_return is not None:
                await self._on_return()
        except StoreUnavailableError:
            return False
        except Exception:
            log.exception("work that waited for Redis failed")
        return self.trouble is None

    def _log_transition(self) -> None:
        """Say once that Redis does not serve, and once that it does again."""
        if (self.trouble is not None) == self._told:
            return
        if self.trouble is not None:
            log.warning(
                "%s does not serve (%s); answering from memory until it returns", self._name, self.trouble
            )
        else:
            log.info("%s serves again", self._name)
        self._told = self.trouble is not None
        self._on_change()


async def _mode(wire: PipelinedConnection) -> bytes:
    """Return what kind of server answers; empty for one that has everything, or does not say."""
    answer = await wire.send(("HELLO", "2"))
    if isinstance(answer, hiredis.ReplyError):
        return b""  # some proxies do not know it
    mode: bytes = dict(zip(answer[::2], answer[1::2], strict=False)).get(b"mode", b"")
    if mode == b"cluster":
        about = await wire.send(("CLUSTER", "INFO"))
        if isinstance(about, bytes) and b"cluster_size:1\r" in about:
            return b""
    return mode


def _code(error: hiredis.ReplyError) -> str:
    """Return the innermost error code: before Redis 7 a command's error comes wrapped in the script's."""
    codes: list[str] = _ERROR_CODE.findall(str(error))
    return codes[-1] if codes else ""
