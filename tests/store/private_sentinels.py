"""A real master with its replica, and the Sentinels that watch them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import redis

from tests.store.processes import ServerProcess, Servers
from tests.waiting import wait_until_blocking

MASTER = "pools"
"""The name that the Sentinels know the master by."""


class PrivateSentinels(Servers):
    """Two servers, one of them the other's replica, and some Sentinels."""

    def __init__(
        self, folder: Path, sentinels: int = 1, *, more: str = "", behind_proxy: bool = False
    ) -> None:
        """``more`` are lines for both servers."""
        lines = f"save ''\nrepl-diskless-sync-delay 0\n{more}"
        first = ServerProcess(folder / "first", lines, behind_proxy=behind_proxy)
        replica_of = f"replicaof 127.0.0.1 {first.port}\n"
        second = ServerProcess(folder / "second", lines + replica_of, behind_proxy=behind_proxy)
        self.servers = [first, second]
        watched = (
            f"sentinel monitor {MASTER} 127.0.0.1 {first.port} {sentinels // 2 + 1}\n"
            f"sentinel down-after-milliseconds {MASTER} {1200 if behind_proxy else 500}\n"
            f"sentinel failover-timeout {MASTER} 3000\n"
        )
        self.sentinels = [
            ServerProcess(folder / f"sentinel{number}", watched, sentinel=True, behind_proxy=behind_proxy)
            for number in range(sentinels)
        ]

    @property
    def url(self) -> str:
        """The URL for the router."""
        return f"redis+sentinel://{','.join(each.address for each in self.sentinels)}/{MASTER}"

    def kill(self) -> None:
        """End all of them."""
        for each in (*self.sentinels, *self.servers):
            each.kill()

    @property
    def master(self) -> ServerProcess:
        """The server that the first Sentinel takes for the master."""
        with self.sentinels[0].client() as client:
            port = int(client.sentinel_get_master_addr_by_name(MASTER)[1])
        return next(each for each in self.servers if each.port == port)

    def fail_over(self) -> None:
        """Have the Sentinels exchange the two servers while both run, as operators do; returns at once."""
        with self.sentinels[0].client() as client:
            command = partial(client.execute_command, "SENTINEL FAILOVER", MASTER)
            wait_until_blocking(command, redis.RedisError)

    @property
    def ports(self) -> dict[tuple[str, int], int]:
        """For the name and the proxy's port of each server behind one: its own port."""
        named = {**_named("server", self.servers), **_named("sentinel", self.sentinels)}
        return {(name, server.port): server.own_port for name, server in named.items()}

    @property
    def process_ids(self) -> dict[str, list[int]]:
        named = {**_named("server", self.servers), **_named("sentinel", self.sentinels)}
        return {name: server.process_ids for name, server in named.items()}

    def start(self) -> None:
        for each in (*self.servers, *self.sentinels):
            each.start()
        for each in self.sentinels:
            with each.client() as client:
                wait_until_blocking(partial(_is_complete, client, len(self.sentinels) - 1), redis.RedisError)


def _named(kind: str, servers: Sequence[ServerProcess]) -> dict[str, ServerProcess]:
    return {f"{kind}{number}": server for number, server in enumerate(servers)}


def _is_complete(client: redis.Redis, others: int) -> bool:
    """Return whether a Sentinel could fail over: it has the others, and a replica with all data."""
    state: Any = client.sentinel_master(MASTER)
    replicas: Any = client.sentinel_slaves(MASTER)
    links = [replica["master-link-status"] for replica in replicas]
    return int(state["num-other-sentinels"]) == others and links == ["ok"]
