"""Whether other texts suffer while one application that some are forwarded to is slow."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import cast

import uvloop

from loadtests.bench.client import Connection, connect
from loadtests.bench.contestants import ROUTER
from loadtests.bench.figures import Latency, latency_of
from loadtests.bench.load import ClosedLoop, OpenLoop, Tally
from loadtests.bench.pinning import Cores, running_on
from loadtests.bench.plan import Plan
from loadtests.bench.progress import Step
from loadtests.bench.report import NOTHING, Cells
from loadtests.bench.router_config import write_router_config
from loadtests.bench.server import serving, storing
from loadtests.bench.site import Site
from loadtests.bench.traffic import Webhook, texts, webhooks
from sms_router.sandbox.hosting import free_port

BEGIN = "<!-- upstream:begin -->"
END = "<!-- upstream:end -->"
HEAD = (
    "forwarded texts are answered",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "theirs, p50 ms",
    "forwarded",
    "wrong",
)

RATE = 500.0
"""Texts a second that no upstream has to do with: the same in every row."""
FORWARDED = 20.0
"""Texts a second that go to the upstream."""
SLOWEST = 2.0
"""Seconds after which as many wait for the upstream as ever will."""
WAYS = (("there are none", None), ("at once", 0.0), ("after 2 s", SLOWEST))
CONNECTIONS = 64
"""For either kind, so that no text of one waits for an answer to the other."""

RULE = """
[[keyword]]
words = ["TICKET"]
forward = {{ url = {url} }}
"""
REPLY = "Your ticket is booked."
DOCUMENT = f"<Response><Message>{REPLY}</Message></Response>".encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%b" % (
    len(DOCUMENT),
    DOCUMENT,
)


@dataclass(frozen=True, slots=True)
class Beside:
    """Medians over the rounds for one way in which the upstream answers."""

    way: str
    others: Latency
    """Of the texts that have nothing to do with it."""
    theirs: float
    """Milliseconds at the median of the forwarded ones; not-a-number when there are none."""
    forwarded: int
    wrong: int
    faults: tuple[str, ...]


def turns_of(plan: Plan) -> int:
    """Return how many steps a measurement takes."""
    return 1 + plan.rounds * len(WAYS)


def measure(plan: Plan, cores: Cores, folder: Path, step: Step) -> tuple[Beside, ...]:
    """Return how the other texts fare in each way; takes some seconds for each turn.

    Raises:
        ContestantError: when the router does not start.

    """
    step("signing the messages")
    site = Site(free_port(), folder)
    upstream = free_port()
    rules = write_router_config(site) / "keywords.toml"
    url = json.dumps(f"http://127.0.0.1:{upstream}/sms")
    rules.write_text(rules.read_text() + RULE.format(url=url))
    seconds = plan.open_seconds + SLOWEST
    others = webhooks(site, plan.warmup + math.ceil(RATE * seconds) + 1)
    theirs = texts(site, math.ceil(FORWARDED * seconds) + 1, "ticket 2", REPLY)
    taken: dict[str, list[tuple[Tally, Tally]]] = {way: [] for way, _ in WAYS}
    for number in range(1, plan.rounds + 1):
        for way, delay in WAYS:
            step(f"round {number}: forwarded: {way}")
            turn = _Turn(site, upstream, delay, plan.warmup, seconds)
            taken[way].append(turn.take(others, theirs, cores))
    return tuple(_medians(way, tallies) for way, tallies in taken.items())


def cells(figures: Sequence[Beside]) -> Cells:
    """Return the table; one row for each way."""
    return Cells(HEAD, tuple(_row(each) for each in figures))


@dataclass(frozen=True, slots=True)
class _Turn:
    site: Site
    upstream: int
    delay: float | None
    warmup: int
    seconds: float

    def take(self, others: Sequence[Webhook], theirs: Sequence[Webhook], cores: Cores) -> tuple[Tally, Tally]:
        """Start the router, load it with both kinds, and return what came of either."""
        with running_on(cores.generator), storing(ROUTER, self.site), serving(ROUTER, self.site, cores):
            return uvloop.run(self._load(others, theirs))

    async def _load(self, others: Sequence[Webhook], theirs: Sequence[Webhook]) -> tuple[Tally, Tally]:
        async with (
            application_at(self.upstream, self.delay or 0.0),
            _connected(self.site.port) as plain,
            _connected(self.site.port) as forwarded,
        ):
            warmup = await ClosedLoop(plain, iter(others[: self.warmup]), self.seconds).run()
            other = OpenLoop(plain, iter(others[self.warmup :]), RATE).run(self.seconds)
            if self.delay is None:
                both = await other, Tally()
            else:
                own = OpenLoop(forwarded, iter(theirs), FORWARDED).run(self.seconds)
                both = await asyncio.gather(other, own)
        if warmup.wrong:
            both[0].note_fault(warmup.faults[0], warmup.wrong)
        return both


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[list[Connection]]:
    connections = await connect(port, CONNECTIONS)
    try:
        yield connections
    finally:
        for connection in connections:
            connection.close()


@asynccontextmanager
async def application_at(port: int, delay: float) -> AsyncIterator[None]:
    """Serve an application that says the same to every text, after a while."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Application(delay), "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


class _Application(asyncio.Protocol):
    """One connection to the application; a request is over with its body's last byte."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"\r\ncontent-length:")
        if blank and len(body) >= int(length.split(b"\r\n")[0]):
            self._received = b""
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, ANSWER)


def _medians(way: str, tallies: Sequence[tuple[Tally, Tally]]) -> Beside:
    others = [latency_of(other) for other, _ in tallies]
    both = [tally for pair in tallies for tally in pair]
    return Beside(
        way,
        Latency(*(median(each) for each in zip(*(_values(latency) for latency in others), strict=True))),
        median(latency_of(theirs).p50 for _, theirs in tallies),
        sum(theirs.answered for _, theirs in tallies),
        sum(tally.wrong for tally in both),
        tuple(fault for tally in both for fault in tally.faults),
    )


def _values(latency: Latency) -> tuple[float, ...]:
    return latency.rate, latency.p50, latency.p99, latency.p999


def _row(beside: Beside) -> tuple[str, ...]:
    return (
        beside.way,
        *(f"{value:.2f}" for value in _values(beside.others)[1:]),
        NOTHING if math.isnan(beside.theirs) else f"{beside.theirs:,.2f}",
        str(beside.forwarded),
        str(beside.wrong),
    )
