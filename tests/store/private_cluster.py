"""A real Redis Cluster of a test's own, whose nodes may be killed, frozen and given each other's slots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from tests.store.processes import ServerProcess, Servers, lasting_port
from tests.waiting import wait_until_blocking

SLOTS = 16384


class PrivateCluster(Servers):
    """Some masters with equal parts of the slots, and replicas of the first ones."""

    def __init__(
        self,
        folder: Path,
        masters: int = 3,
        replicas: int = 0,
        *,
        lasting: bool = False,
        behind_proxy: bool = False,
    ) -> None:
        """``lasting`` nodes have their data again after a kill."""
        count = masters + replicas
        self.buses = [(lasting_port(), lasting_port()) for _ in range(count if behind_proxy else 0)]
        """For each node behind a proxy the port of that, and its own one, of the bus."""
        self.nodes = [
            ServerProcess(
                folder / str(number),
                f"cluster-enabled yes\n{self._bus(number)}"
                f"cluster-node-timeout {2000 if behind_proxy else 1000}\n"
                "cluster-require-full-coverage no\ncluster-replica-validity-factor 0\n"
                f"repl-diskless-sync-delay 0\nsave ''\nappendonly {'yes' if lasting else 'no'}\n",
                behind_proxy=behind_proxy,
            )
            for number in range(count)
        ]
        for node in self.nodes if behind_proxy else ():
            node.append_line(f"cluster-announce-port {node.port}")
        self.masters = self.nodes[:masters]
        self.replicas = self.nodes[masters:]

    @property
    def url(self) -> str:
        """The URL for the router."""
        return f"redis+cluster://{','.join(node.address for node in self.nodes)}"

    def kill(self) -> None:
        """End all of them."""
        for node in self.nodes:
            node.kill()

    def owner(self, slot: int) -> ServerProcess:
        """Return the master of a slot, according to the first node that answers."""
        for node in self.nodes:
            try:
                shards = _run(node, "CLUSTER", "SLOTS")
            except redis.RedisError:
                continue
            port = next(int(owner[1]) for first, last, owner, *_ in shards if first <= slot <= last)
            return next(each for each in self.nodes if each.port == port)
        raise AssertionError("no node answers")

    def begin_move(self, slot: int, target: ServerProcess) -> ServerProcess:
        """Begin to move a slot; return where it comes from."""
        source = self.owner(slot)
        _run(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.identity(source))
        _run(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.identity(target))
        return source

    def move_keys(self, slot: int, source: ServerProcess, target: ServerProcess, most: int = 10_000) -> int:
        """Move some of a slot's keys; return how many."""
        keys = _run(source, "CLUSTER", "GETKEYSINSLOT", slot, most)
        if keys:
            _run(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        return len(keys)

    def end_move(self, slot: int, target: ServerProcess) -> None:
        """Announce to all nodes that the slot has moved."""
        for node in (target, *(each for each in self.masters if each is not target)):
            _run(node, "CLUSTER", "SETSLOT", slot, "NODE", self.identity(target))

    def move(self, slot: int, target: ServerProcess) -> None:
        """Move a slot with all of its keys."""
        source = self.begin_move(slot, target)
        self.move_keys(slot, source, target)
        self.end_move(slot, target)

    def migrate(self, slot: int, target: ServerProcess) -> None:
        """Have Valkey 9 move a slot by itself, all keys in one step; returns when it has begun."""
        source = self.owner(slot)
        _run(source, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", self.identity(target))

    def identity(self, node: ServerProcess) -> str:
        """Return the id of a node in the cluster."""
        return str(_run(node, "CLUSTER", "MYID").decode())

    def wait_until_well(self) -> None:
        """Wait until every running node reports that all slots are served."""
        for node in self.nodes:
            _wait_for(node, b"cluster_state:ok", "CLUSTER", "INFO")

    @property
    def ports(self) -> dict[tuple[str, int], int]:
        """For the name and the proxy's port of each node behind one: its own port; that of the bus too."""
        ports = {(f"server{number}", node.port): node.own_port for number, node in enumerate(self.nodes)}
        return ports | {(f"server{number}", bus): own for number, (bus, own) in enumerate(self.buses)}

    @property
    def process_ids(self) -> dict[str, list[int]]:
        return {f"server{number}": node.process_ids for number, node in enumerate(self.nodes)}

    def _bus(self, number: int) -> str:
        if not self.buses:
            return f"cluster-port {lasting_port()}\n"
        bus, own = self.buses[number]
        return f"cluster-port {own}\ncluster-announce-bus-port {bus}\n"

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        count = len(self.masters)
        for number, node in enumerate(self.masters):
            _run(node, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            first, last = SLOTS * number // count, SLOTS * (number + 1) // count - 1
            _run(node, "CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in self.nodes[1:]:
            _run(self.nodes[0], "CLUSTER", "MEET", "127.0.0.1", node.port, _bus_port(node))
        for replica, master in zip(self.replicas, self.masters, strict=False):
            name = self.identity(master).encode()
            _wait_for(replica, name, "CLUSTER", "NODES")
            _run(replica, "CLUSTER", "REPLICATE", name)
            _wait_for(replica, b"master_link_status:up", "INFO", "replication")
        self.wait_until_well()


def _wait_for(node: ServerProcess, text: bytes, *command: str) -> None:
    """Wait until what a command returns has a text."""
    wait_until_blocking(lambda: text in _run(node, *command), redis.RedisError)


def _bus_port(node: ServerProcess) -> int:
    with node.client() as client:
        ports = client.config_get("cluster-port", "cluster-announce-bus-port")
        return int(ports["cluster-announce-bus-port"]) or int(ports["cluster-port"])


def _run(node: ServerProcess, *command: Any) -> Any:
    """Return the response of one node to a command."""
    with node.client() as client:
        connection = client.connection_pool.get_connection()
        try:
            connection.send_command(*command)
            return connection.read_response()
        finally:
            client.connection_pool.release(connection)
