"""The store: scripts on Redis, wherever the keys lie."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from app.store.cluster import Cluster
from app.store.deployment import Deployment, Kind
from app.store.scripts import Script
from app.store.sentinels import Sentinels
from app.store.server import Server
from app.store.wire import Answer, Argument


class Run(Protocol):
    """How a script is run (`Server.run`)."""

    async def __call__(
        self,
        script: Script,
        keys: tuple[bytes, ...],
        arguments: tuple[Argument, ...],
        patience: float | None = None,
    ) -> Answer:
        """Return the script's answer."""


class Store:
    """Redis as the rest of the router sees it; made once per worker."""

    def __init__(self, url: str, observe: Callable[[str, float], None] | None = None) -> None:
        """Remember where Redis is; `start` connects.

        ``observe`` is told the name of each script and the seconds until its answer or its failure.

        Raises:
            ValueError: when the URL is none that `Deployment.of` reads.

        """
        self._redis = _redis_of(Deployment.of(url))
        self.run = self._redis.run if observe is None else _observed(self._redis.run, observe)
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
        """Stop knocking and close the connections; whoever waits for an answer is told."""
        await self._redis.aclose()

    def ask_for_return(self) -> None:
        """Have ``on_return`` run again soon: something waits for it."""
        self._redis.ask_for_return()


def _observed(run: Run, observe: Callable[[str, float], None]) -> Run:
    async def timed(
        script: Script,
        keys: tuple[bytes, ...],
        arguments: tuple[Argument, ...],
        patience: float | None = None,
    ) -> Answer:
        began = time.monotonic()
        try:
            return await run(script, keys, arguments, patience)
        finally:
            observe(script.name, time.monotonic() - began)

    return timed


def _redis_of(deployment: Deployment) -> Server | Cluster:
    match deployment.kind:
        case Kind.CLUSTER:
            return Cluster(deployment)
        case Kind.SENTINEL:
            return Server(Sentinels(deployment).master)
        case Kind.SERVER:
            return Server(deployment.only_door)
