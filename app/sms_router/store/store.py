"""The store: scripts on Redis, wherever the keys lie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sms_router.store.cluster import RedisClusterClient
from sms_router.store.resilient_connection import Observe, RedisClient, unobserved
from sms_router.store.sentinel import SentinelLocator
from sms_router.store.url import RedisUrl, Topology


class Store:
    """Redis as the rest of the router sees it; made once per worker."""

    def __init__(self, url: str, observe: Observe = unobserved) -> None:
        """Remember where Redis is; `start` connects.

        ``observe`` is told the name of each script and the seconds until its answer.

        Raises:
            ValueError: when `Deployment.of` cannot read the URL.

        """
        self._redis = _redis_of(RedisUrl.of(url), observe)
        self.run = self._redis.run
        """Runs a script and returns its answer, as `Server.run` does; bound, since every message asks."""

    @property
    def error(self) -> str | None:
        """Why Redis does not serve, or not all of it; None while it is well."""
        return self._redis.trouble

    async def start(self, on_return: Callable[[], Awaitable[None]] | None = None) -> None:
        """Connect, or begin to knock: the router starts either way.

        ``on_return`` runs at the start and whenever Redis serves again, all of it; when it raises
        `StoreUnavailableError` it runs again.
        """
        await self._redis.start(on_return)

    async def aclose(self) -> None:
        """Stop knocking and close the connections; callers that wait for an answer are told."""
        await self._redis.aclose()

    def retry_pending(self) -> None:
        """Run ``on_return`` again soon: something waits for it."""
        self._redis.ask_for_return()


def _redis_of(deployment: RedisUrl, observe: Observe) -> RedisClient | RedisClusterClient:
    match deployment.kind:
        case Topology.CLUSTER:
            return RedisClusterClient(deployment, observe)
        case Topology.SENTINEL:
            return RedisClient(SentinelLocator(deployment).locate, observe=observe)
        case Topology.SERVER:
            return RedisClient(deployment.only_door, observe=observe)
