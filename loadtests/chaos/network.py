"""A network between the routers and the servers of Redis that can be cut: one proxy before each server.

A proxy finds out which process has opened a connection, so that links are cut one by one. What is sent over a
cut link arrives when the link works again, as with TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Flag, auto
from functools import partial
from pathlib import Path

from sms_router.tasks import cancel_and_wait

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20

NETLINK_TIMEOUT = 1.0
"""Seconds; the kernel answers at once, or not at all."""

EVERYBODY = "*"
PAUSE = 0.6
"""Seconds for which a flapping link works, and for which it does not."""


class Cut(Flag):
    """What a link does not carry."""

    NOTHING = 0
    REQUESTS = auto()
    ANSWERS = auto()
    ALL = REQUESTS | ANSWERS


@dataclass(frozen=True, slots=True)
class Link:
    """From a party, the one that opens connections, to a server."""

    party: str
    server: str


class Network:
    """The links; ``parties`` returns the process ids of each party, which change when it starts again."""

    def __init__(self, parties: Callable[[], Mapping[str, Iterable[int]]]) -> None:
        self._parties = parties
        self._processes: Mapping[str, Iterable[int]] = {}
        """What it returned last; each call takes 20 ms, and there are many connections."""
        self._cuts: dict[Link, Cut] = {}
        self._delays: dict[Link, float] = {}
        self._changed = asyncio.Event()
        self._flapping: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(4)
        """Of its own: the starts of servers occupy the others, and wait for the proxies."""

    def cut(self, links: Iterable[Link], what: Cut = Cut.ALL) -> None:
        self._cuts |= dict.fromkeys(links, what)
        self._change()

    def delay(self, links: Iterable[Link], seconds: float) -> None:
        self._delays |= dict.fromkeys(links, seconds)

    def flap(self, links: Iterable[Link]) -> None:
        """Cut links and repair them in turn."""

        async def flap(links: list[Link]) -> None:
            while True:
                for what in (Cut.ALL, Cut.NOTHING):
                    self.cut(links, what)
                    await asyncio.sleep(PAUSE)

        self._flapping = asyncio.create_task(flap(list(links)))

    async def repair(self) -> None:
        await cancel_and_wait(self._flapping)
        self._cuts.clear()
        self._delays.clear()
        self._change()

    @contextlib.asynccontextmanager
    async def running(self, ports: Mapping[tuple[str, int], int]) -> AsyncIterator[None]:
        """Listen before each server; ``ports`` has for its name and the proxy's port its own port."""
        try:
            async with contextlib.AsyncExitStack() as servers:
                for (name, port), target in ports.items():
                    serve = partial(self._serve, name, target)
                    server = await asyncio.start_server(serve, "127.0.0.1", port)
                    servers.callback(server.close)
                yield
        finally:
            await cancel_and_wait(self._flapping, *self._tasks)
            self._threads.shutdown(wait=False)

    def _change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _rule(self, party: str, server: str) -> tuple[Cut, float]:
        links = Link(party, server), Link(EVERYBODY, server), Link(party, EVERYBODY)
        cut = next((self._cuts[link] for link in links if link in self._cuts), Cut.NOTHING)
        return cut, next((self._delays[link] for link in links if link in self._delays), 0.0)

    async def _serve(
        self, server: str, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        ends = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        with contextlib.suppress(OSError, asyncio.CancelledError):  # asyncio logs a cancelled connection
            try:
                party = await asyncio.get_running_loop().run_in_executor(self._threads, self._party_of, *ends)
                back, forth = await asyncio.open_connection("127.0.0.1", target)
                pumps = (
                    self._pump(party, server, Cut.REQUESTS, reader, forth),
                    self._pump(party, server, Cut.ANSWERS, back, writer),
                )
                tasks = [asyncio.create_task(pump) for pump in pumps]
                self._tasks.update(tasks)
                for task in tasks:
                    task.add_done_callback(self._tasks.discard)
                await asyncio.wait(tasks)
            finally:
                writer.close()

    async def _pump(
        self, party: str, server: str, what: Cut, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            try:
                while data := await reader.read(65_536):
                    cut, delay = self._rule(party, server)
                    await asyncio.sleep(delay)
                    while what in cut:
                        await self._changed.wait()
                        cut, _ = self._rule(party, server)
                    writer.write(data)
                    await writer.drain()
                while what in self._rule(party, server)[0]:
                    await self._changed.wait()
            finally:
                writer.close()

    def _party_of(self, opened_from: tuple[str, int], server: tuple[str, int]) -> str:
        """Return which party has opened a connection; empty for none of them."""
        socket_name = f"socket:[{_inode_of(opened_from, server)}]"
        party = _party_with(socket_name, self._processes)
        if not party:  # its process may have started meanwhile
            self._processes = self._parties()
            party = _party_with(socket_name, self._processes)
        return party


def _party_with(socket_name: str, parties: Mapping[str, Iterable[int]]) -> str:
    for party, processes in parties.items():
        for process in processes:
            with contextlib.suppress(OSError):
                for file in Path(f"/proc/{process}/fd").iterdir():
                    with contextlib.suppress(OSError):
                        if str(file.readlink()) == socket_name:
                            return party
    return ""


def _inode_of(end: tuple[str, int], other_end: tuple[str, int]) -> int:
    """Return the inode of the socket at one end of a connection, from Linux' sock_diag(7).

    /proc/net/tcp lists thousands of closed connections while others send load.
    """
    ports = struct.pack("!HH", end[1], other_end[1])
    addresses = b"".join(socket.inet_aton(host).ljust(16, b"\0") for host, _ in (end, other_end))
    request = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
    request += ports + addresses + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(NETLINK_TIMEOUT)
        netlink.send(struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, 1, 1, 0) + request)
        answer = netlink.recv(4096)
    is_found = struct.unpack_from("=H", answer, 4)[0] == _SOCK_DIAG_BY_FAMILY
    return int(struct.unpack_from("=I", answer, 84)[0]) if is_found else 0
