"""The store: scripts on Redis, wherever the keys lie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sms_router.store.cluster import Cluster
from sms_router.store.resilient_connection import Observe, Server, unobserved
from sms_router.store.sentinel import Sentinels
from sms_router.store.url import Deployment, Kind


class Store:
    """Redis as the rest of the router sees it; made once per worker."""

    def __init__(self, url: str, observe: Observe = unobserved) -> None:
        """Remember where Redis is; `start` connects.

        ``observe`` is told the name of each script and the seconds until its answer.

        Raises:
            ValueError: when `Deployment.of` cannot read the URL.

        """
        self._redis = _redis_of(Deployment.of(url), observe)
        self.run = self._redis.run
        """Runs a script and returns its answer, as `Server.run` does; bound, since every message asks."""

    @property
    def trouble(self) -> str | None:
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

    def ask_for_return(self) -> None:
        """Run ``on_return`` again soon: something waits for it."""
        self._redis.ask_for_return()


def _redis_of(deployment: Deployment, observe: Observe) -> Server | Cluster:
    match deployment.kind:
        case Kind.CLUSTER:
            return Cluster(deployment, observe)
        case Kind.SENTINEL:
            return Server(Sentinels(deployment).master, observe=observe)
        case Kind.SERVER:
            return Server(deployment.only_door, observe=observe)
