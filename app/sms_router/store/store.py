"""The store: runs scripts on Redis, whatever its topology."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable

from sms_router.store import scripts
from sms_router.store.cluster import RedisClusterClient
from sms_router.store.connection import RedisReply
from sms_router.store.errors import RedirectedError, StoreUnavailableError
from sms_router.store.recent_runs import RecentRuns
from sms_router.store.resilient_connection import Observe, RedisClient, Restore, Run, RunRecorder, unobserved
from sms_router.store.schema import SCHEMA_VERSION, SchemaError, compare_redis
from sms_router.store.scripts import Call
from sms_router.store.sentinel import SentinelLocator
from sms_router.store.url import Address, RedisUrl, Topology
from sms_router.tasks import PeriodicTask

log = logging.getLogger("sms_router.store")


TRIM_INTERVAL = 1.0
"""Seconds between two looks at what the recent runs take."""


class Store:
    """Redis as the rest of the router uses it; one in each worker."""

    def __init__(
        self,
        url: str,
        observe: Observe = unobserved,
        observe_rerun: Callable[[str, RedisReply], None] = lambda *_: None,
    ) -> None:
        """Create an unconnected store.

        Args:
            url: a Redis URL.
            observe: is called with the name of each script and the seconds until its response.
            observe_rerun: is called with the name of each script that runs again on a new server, and its
                result.

        Raises:
            ValueError: when `RedisUrl.parse` refuses the URL.

        """
        self._recent_runs = RecentRuns(observe_rerun)
        self._trimming = PeriodicTask("recent-runs", TRIM_INTERVAL, self._recent_runs.trim, wait_first=True)
        self.forget_runs = self._recent_runs.forget
        """Has nothing run again on a new server in a bucket (`RecentRuns.forget`)."""
        self.restorers: list[Restore] = [self._recent_runs.restore]
        """Called in their order before scripts run on a server which is not the one before: it was started
        again, or a failover has made it the master, so that it may lack the last writes, or all data. Also
        at the start. Until they have returned, Redis does not serve; where one raises `StoreUnavailableError`
        the connection is dropped, and all are called again."""
        self._redis = _client_of(RedisUrl.parse(url), observe, self._restore, self._recent_runs)
        self.run = self._redis.run
        """Runs a script (`RedisClient.run`); no method, because every message calls it."""
        self._schema_error: str | None = None

    @property
    def error(self) -> str | None:
        """Why Redis, or a part of it, does not serve; None while all of it does."""
        return self._redis.error or self._schema_error

    async def start(self, on_reconnect: Callable[[], Awaitable[None]] | None = None) -> None:
        """Connect; where Redis does not serve, return and connect later.

        ``on_reconnect`` is called after the start and whenever all of Redis serves again; when it raises
        `StoreUnavailableError` it is called again.
        """
        self._trimming.start()
        await self._redis.start(on_reconnect)

    async def check_schema(self) -> None:
        """Check the version of the data in Redis, and write it where there is none.

        Data of another version is neither read nor written: until a check succeeds, no script runs.

        Raises:
            SchemaError: when the data belongs to another version.
            StoreUnavailableError: when Redis does not serve.

        """
        stored: bytes = await self._redis.run(scripts.check_schema(version=SCHEMA_VERSION))
        try:
            compare_redis(stored)
        except SchemaError as error:
            if self._schema_error is None:
                log.error("%s", error)
            self._schema_error = str(error)
            self.run = self._refuse
            raise
        self._schema_error = None
        self.run = self._redis.run

    async def _refuse(self, call: Call, time_limit: float | None = None) -> RedisReply:  # noqa: ARG002 (as `run`)
        raise StoreUnavailableError(str(self._schema_error))

    async def _restore(self, run: Run) -> None:
        with contextlib.suppress(RedirectedError):  # a node of a Cluster that does not have the key
            if (await run(scripts.check_schema(version=""))).decode() not in ("", str(SCHEMA_VERSION)):
                return  # nothing is written to it: `check_schema` refuses it
        for restore in self.restorers:
            await restore(run)

    def reset(self, reason: str) -> None:
        """Reconnect and call `restorers`, because the server was found to have lost data."""
        self._redis.reset(reason)

    async def aclose(self) -> None:
        """Stop reconnecting and close the connections; pending callers fail."""
        await self._trimming.aclose()
        await self._redis.aclose()

    def retry_pending(self) -> None:
        """Call ``on_reconnect`` again soon, because something waits for it."""
        self._redis.retry_pending()


def _client_of(
    url: RedisUrl, observe: Observe, restore: Restore, recorder: RunRecorder
) -> RedisClient | RedisClusterClient:
    match url.topology:
        case Topology.CLUSTER:
            return RedisClusterClient(url, observe, restore, recorder)
        case Topology.SENTINEL:
            sentinels = SentinelLocator(url)
            return RedisClient(
                sentinels.locate, observe=observe, watch=sentinels.watch, restore=restore, recorder=recorder
            )
        case Topology.SERVER:

            async def locate() -> Address:
                return url.seeds[0]

            return RedisClient(locate, observe=observe, restore=restore, recorder=recorder)
