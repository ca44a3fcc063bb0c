"""One Redis server behind a circuit breaker.

While Redis serves, `RedisClient.run` is one command on the pipelined connection. When the connection is lost,
or a response takes longer than `STALL_TIMEOUT`, the circuit opens: every caller fails at once instead of
waiting for a timeout of its own, and a background task reconnects with a fixed interval.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import hiredis

from sms_router.store.connection import PipelinedConnection, RedisReply, connect, pack, run_all
from sms_router.store.errors import RedirectedError, ScriptFailedError, StoreUnavailableError
from sms_router.store.keys import PROBE
from sms_router.store.scripts import SCRIPTS, Call, Script
from sms_router.store.scripts.reruns import REPEATABLE
from sms_router.store.slots import RedirectKind, parse_redirection
from sms_router.store.url import Address, Command
from sms_router.tasks import cancel_and_wait

log = logging.getLogger("sms_router.store")

STALL_TIMEOUT = 0.2
"""Seconds without a response after which Redis counts as frozen."""

CHECK_INTERVAL = 0.05
"""Seconds between two checks while commands are pending."""

READ_GRACE = 0.02
"""Seconds to read responses that arrived while the event loop of this process was blocked."""

CONNECT_TIMEOUT = 2.0
RECONNECT_INTERVAL = 0.25

RESTORE_TIMEOUT = 10.0
"""Seconds to write to a new server what the one before may not have passed on to it."""

CHUNK_SIZE = 64
"""Runs that a `RunRecorder` packs at once."""

Locate = Callable[[], Awaitable[Address]]
"""Returns the server's address; called before each connection.

Raises:
    StoreUnavailableError: when it cannot be found.

"""

Watch = Callable[[Callable[[Address], None]], Awaitable[None]]
"""Calls back with the server's address again and again, until it is cancelled."""

Run = Callable[[Call], Awaitable[RedisReply]]

Restore = Callable[[Run], Awaitable[None]]
"""Writes to a new server what the one before may not have passed on to it; no other script runs meanwhile.

It is called with a function that runs scripts there. In a Cluster each node is a server, and a script whose
keys are on another one raises `RedirectedError`.
"""

Observe = Callable[[str, float], None]
"""Is called with the name of each script and the seconds until its response."""

_ERROR_CODE = re.compile(r"(?:^| -)([A-Z]+)\b")
_SCRIPT_ERRORS = frozenset({"ERR", "WRONGTYPE"})
"""Codes of errors that concern one script and its keys; all others concern Redis."""

_MOVED_ERRORS = frozenset({"READONLY", "NOREPLICAS", "MISCONF", "MASTERDOWN", "LOADING"})
"""Codes of errors after which another server may be the master."""

_NEEDED_URLS = {
    b"cluster": "{0} is a node of a Redis Cluster; set REDIS_URL=redis+cluster://{0}",
    b"sentinel": "{0} is a Sentinel; set REDIS_URL=redis+sentinel://{0}/mymaster, with your master's name",
}


class ServerIdentity(NamedTuple):
    """Which server, and which history of its data: one of them differs after a restart or a failover."""

    run_id: bytes
    replication_id: bytes


async def restore_nothing(_: Run) -> None:
    """Write nothing."""


class RunRecorder:
    """Takes each successful run of a `REPEATABLE` script; this one drops them.

    A run is when it ended by the monotonic clock, its command, and its response.
    """

    def __init__(self) -> None:
        self.latest: list[tuple[float, bytes, RedisReply]] = []

    def pack(self) -> None:
        """Empty `latest`; called when it has `CHUNK_SIZE` runs."""
        self.latest.clear()


def unobserved(script: str, seconds: float) -> None:
    """Measure nothing."""


class RedisClient:
    """Runs scripts on one server, or on the current master, and reconnects when the connection is lost."""

    def __init__(
        self,
        locate: Locate,
        *,
        node: str = "",
        probe: bytes = PROBE,
        on_change: Callable[[], None] = lambda: None,
        observe: Observe = unobserved,
        watch: Watch | None = None,
        restore: Restore = restore_nothing,
        recorder: RunRecorder | None = None,
    ) -> None:
        """Create an unconnected client.

        Args:
            locate: returns the server's address.
            watch: follows the server's address; the connection to any other one is dropped.
            restore: is called before scripts run on a server which is not the one before, by its run id or
                its replication id; at the start too, and whenever the server does not return them.
            recorder: takes the runs of scripts that may have to run again.
            node: the name of a Cluster's node; empty for a server with all data.
            probe: a key on this server.
            on_change: is called when the server stops serving, and when it serves again.
            observe: is called with the duration of each script.

        """
        self._observe = observe
        self._locate = locate
        self._node = node
        self._load_scripts = [("SCRIPT", "LOAD", script.source) for script in SCRIPTS.values()]
        self._name = f"The Redis node {node}" if node else "Redis"
        self._on_change = on_change
        self._address: Address | None = None
        """Of the present connection: a redirection that names no host means it."""
        self._watch = watch
        self._restore = restore
        self._recorder = recorder or RunRecorder()
        self._identity: ServerIdentity | None = None
        self._watching: asyncio.Task[None] | None = None
        self.probe = probe
        self._connection: PipelinedConnection | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._stall_check: asyncio.TimerHandle | None = None
        self._on_reconnect: Callable[[], Awaitable[None]] | None = None
        self._outage_logged = False
        self.error: str | None = "not connected yet"
        """Why Redis does not serve; None while it does."""

    async def start(self, on_reconnect: Callable[[], Awaitable[None]] | None = None) -> None:
        """Connect; where Redis does not serve, return and connect later.

        ``on_reconnect`` is called after the start and whenever Redis serves again; when it raises
        `StoreUnavailableError` it is called again as soon as Redis serves.
        """
        self._on_reconnect = on_reconnect
        with contextlib.suppress(StoreUnavailableError):
            await self._connect()
        self._wake.set()
        self._reconnecting = asyncio.create_task(self._reconnect_loop(), name="store-reconnect")
        if self._watch is not None:
            self._watching = asyncio.create_task(
                _run_watch(self._watch, self._on_located), name="store-watch"
            )

    async def aclose(self) -> None:
        """Stop reconnecting and close the connection; pending callers fail."""
        await asyncio.sleep(0)  # a watch that has not begun would not close its connections
        await cancel_and_wait(self._reconnecting, self._watching)
        connection = self._connection
        self._open_circuit("closed")
        if connection is not None:
            await connection.wait_closed()

    async def run(self, call: Call, time_limit: float | None = None) -> RedisReply:
        """Run a script and return its result.

        ``time_limit`` is how many seconds this caller can wait, checked every `CHECK_INTERVAL`; Redis does
        not count as frozen because of it.

        Raises:
            StoreUnavailableError: at once while the circuit is open, else soon after `STALL_TIMEOUT`.
            ScriptFailedError: when Redis serves and this script failed.

        """
        connection = self._connection
        if connection is None:
            raise StoreUnavailableError(self.error or "not connected")
        script, keys, arguments = call
        started = time.monotonic()
        command = pack(script.by_digest + keys + arguments)
        response = await self._send(connection, command, time_limit)
        ended = time.monotonic()
        self._observe(script.name, ended - started)
        if isinstance(response, hiredis.ReplyError):
            response = await self._retry_with_source(connection, call, response)
        if script.name in REPEATABLE:
            latest = self._recorder.latest
            latest.append((ended, command, response))
            if len(latest) >= CHUNK_SIZE:
                self._recorder.pack()
        return response

    async def run_asking(self, call: Call, time_limit: float | None = None) -> RedisReply:
        """Run a script on keys that are being moved to this node of a Cluster.

        Raises:
            StoreUnavailableError: as `run`.

        """
        connection = self._connection
        if connection is None:
            raise StoreUnavailableError(self.error or "not connected")
        script, keys, arguments = call
        self._send(connection, ("ASKING",), time_limit)  # applies to the next command of this connection
        response = await self._send(connection, script.by_source + keys + arguments, time_limit)
        if isinstance(response, hiredis.ReplyError):
            raise self._classify(script, response)
        if script.name in REPEATABLE:
            command = pack(script.by_digest + keys + arguments)
            self._recorder.latest.append((time.monotonic(), command, response))
        return response

    def retry_pending(self) -> None:
        """Call ``on_reconnect`` again soon, because something waits for it."""
        self._wake.set()

    def reset(self, reason: str) -> None:
        """Take the server for a new one, because it has lost data: reconnect, and restore."""
        self._identity = None
        self._open_circuit(reason)

    def _on_located(self, address: Address) -> None:
        if self._connection is not None and address != self._address:
            self._open_circuit(f"the master is {address} now")

    def _send(
        self, connection: PipelinedConnection, command: Command | bytes, time_limit: float | None = None
    ) -> asyncio.Future[RedisReply]:
        """Send a command, and check that its response arrives."""
        future = connection.send(command, time_limit)
        if self._stall_check is None:
            self._stall_check = connection.loop.call_later(CHECK_INTERVAL, self._check_stall, False)
        return future

    async def _retry_with_source(
        self, connection: PipelinedConnection, call: Call, error: hiredis.ReplyError
    ) -> RedisReply:
        """Send the script's source where Redis does not have it; raise any other error."""
        script, keys, arguments = call
        if str(error).startswith("NOSCRIPT"):
            response = await self._send(connection, script.by_source + keys + arguments)
            if not isinstance(response, hiredis.ReplyError):
                return response
            error = response
        raise self._classify(script, error)

    def _classify(self, script: Script, error: hiredis.ReplyError) -> StoreUnavailableError:
        """Return the exception for an error of Redis.

        Out of memory, read-only, busy: Redis responds quickly, so the circuit stays closed, but the outage is
        logged, and the reconnect task checks when it is over.
        """
        reason = f"Redis answered the script {script.name}: {error}"
        if self._node and (redirection := parse_redirection(str(error), self._host_name)) is not None:
            return RedirectedError(reason, redirection)
        if _code(error) in _SCRIPT_ERRORS:
            log.error("%s", reason)
            return ScriptFailedError(reason)
        self.error = reason
        self._wake.set()
        return StoreUnavailableError(reason)

    def _check_stall(self, after_grace: bool) -> None:
        """Open the circuit when a response takes too long."""
        self._stall_check = None
        connection = self._connection
        pending = connection.oldest_pending if connection is not None else None
        if connection is None or pending is None:
            return
        connection.expire_callers()
        if pending < STALL_TIMEOUT:
            self._stall_check = connection.loop.call_later(CHECK_INTERVAL, self._check_stall, False)
        elif after_grace:
            self._open_circuit(f"no response for {STALL_TIMEOUT:g} s")
        else:
            # The event loop of this process may have been blocked: read what has arrived, then check again.
            self._stall_check = connection.loop.call_later(READ_GRACE, self._check_stall, True)

    def _open_circuit(self, error: str) -> None:
        self.error = error
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            self._wake.set()

    def _on_close(self, connection: PipelinedConnection) -> None:
        if connection is self._connection:
            self._open_circuit("the connection was closed")

    @property
    def _host_name(self) -> str:
        return self._address.host if self._address is not None else ""

    async def _connect(self) -> None:
        """Connect, check that Redis accepts writes, and restore what a new server may lack."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                address = await self._locate()
                connection = await connect(address, self._on_close, partial(self._prepare, address))
                try:
                    identity = await _read_identity(connection)
                except BaseException:
                    connection.close()
                    raise
        except (OSError, TimeoutError, StoreUnavailableError) as error:
            self.error = f"cannot be reached: {str(error) or 'no response in time'}"
            raise StoreUnavailableError(self.error) from error
        if identity is None or identity != self._identity:
            try:
                await self._restore_new(connection)
            except BaseException:
                connection.close()
                raise
            self._identity = identity
        if connection.is_closed:
            raise StoreUnavailableError(self.error)
        self._connection, self._address = connection, address
        await self._check_writable(connection)

    async def _restore_new(self, connection: PipelinedConnection) -> None:
        try:
            async with asyncio.timeout(RESTORE_TIMEOUT):
                if (refusal := await self._probe(connection)) is not None:
                    raise StoreUnavailableError(f"Redis refuses to write: {refusal}")
                await self._restore(partial(self._run_unserved, connection))
        except (TimeoutError, StoreUnavailableError) as error:
            self.error = str(error) or "restoring takes too long"
            raise StoreUnavailableError(self.error) from error

    async def _prepare(self, address: Address, connection: PipelinedConnection) -> None:
        """Load the scripts, unless the server needs a URL of another format."""
        mode = b"" if self._node else await _mode(connection)
        if mode in _NEEDED_URLS:
            raise StoreUnavailableError(_NEEDED_URLS[mode].format(address))
        await run_all(connection, self._load_scripts)

    async def _run_unserved(self, connection: PipelinedConnection, call: Call) -> RedisReply:
        """Run a script on a server that is not used for anything else yet."""
        script, keys, arguments = call
        response = await connection.send(script.by_digest + keys + arguments)
        if not isinstance(response, hiredis.ReplyError):
            return response
        raise self._classify(script, response)

    async def _probe(self, connection: PipelinedConnection) -> hiredis.ReplyError | None:
        """Write a key: a server that refuses it would refuse the scripts too."""
        response = await self._send(connection, ("SET", self.probe, "1", "PX", 1000))
        is_error = isinstance(response, hiredis.ReplyError)
        return response if is_error and not (self._node and _code(response) in set(RedirectKind)) else None

    async def _check_writable(self, connection: PipelinedConnection) -> None:
        """Find out whether an outage is over; drop the connection where another server is the master."""
        refusal = await self._probe(connection)
        if refusal is None:
            self.error = None
            return
        self.error = f"Redis refuses to write: {refusal}"
        if _code(refusal) == "READONLY":  # its name may lead to another server now: locate it again
            self._open_circuit(self.error)
        elif _code(refusal) in _MOVED_ERRORS:
            self._on_located(await self._locate())
        raise StoreUnavailableError(self.error)

    async def _reconnect_loop(self) -> None:
        """Reconnect when the connection is lost; call ``on_reconnect`` whenever Redis serves again."""
        while True:
            await self._wake.wait()
            self._log_transition()
            while not await self._try_to_serve():
                self._log_transition()
                await asyncio.sleep(RECONNECT_INTERVAL)
            self._log_transition()
            await asyncio.sleep(RECONNECT_INTERVAL)

    async def _try_to_serve(self) -> bool:
        """Reconnect if needed, then call ``on_reconnect``; return whether Redis serves."""
        self._wake.clear()
        try:
            if self._connection is None:
                await self._connect()
            elif self.error is not None:
                await self._check_writable(self._connection)
            if self._on_reconnect is not None:
                await self._on_reconnect()
        except StoreUnavailableError:
            return False
        except Exception:
            log.exception("work that waited for Redis failed")
        return self.error is None

    def _log_transition(self) -> None:
        """Log once that Redis does not serve, and once that it serves again."""
        if (self.error is not None) == self._outage_logged:
            return
        if self.error is not None:
            log.warning(
                "%s does not serve (%s); answering from memory until it returns", self._name, self.error
            )
        else:
            log.info("%s serves again", self._name)
        self._outage_logged = self.error is not None
        self._on_change()


async def _run_watch(watch: Watch, report: Callable[[Address], None]) -> None:
    await watch(report)


async def _read_identity(connection: PipelinedConnection) -> ServerIdentity | None:
    """Return which server it is; None where it does not tell, as some proxies."""
    fields: dict[bytes, bytes] = {}
    for section in ("server", "replication"):
        info = await connection.send(("INFO", section))
        for line in info.split(b"\r\n") if isinstance(info, bytes) else ():
            name, _, fields[name] = line.partition(b":")
    identity = ServerIdentity(fields.get(b"run_id", b""), fields.get(b"master_replid", b""))
    return identity if all(identity) else None


async def _mode(connection: PipelinedConnection) -> bytes:
    """Return the kind of server; empty for one that has all data, or does not tell."""
    response = await connection.send(("HELLO", "2"))
    if isinstance(response, hiredis.ReplyError):
        return b""  # some proxies do not know it
    mode: bytes = dict(zip(response[::2], response[1::2], strict=False)).get(b"mode", b"")
    if mode == b"cluster":
        info = await connection.send(("CLUSTER", "INFO"))
        if isinstance(info, bytes) and b"cluster_size:1\r" in info:
            return b""
    return mode


def _code(error: hiredis.ReplyError) -> str:
    """Return the innermost error code: before Redis 7 a command's error is wrapped in the script's."""
    codes: list[str] = _ERROR_CODE.findall(str(error))
    return codes[-1] if codes else ""
