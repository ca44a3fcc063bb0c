"""The latency of messages to keywords while an upstream application is slow."""

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
from loadtests.bench.figures import Latency, latency_of
from loadtests.bench.load import ClosedLoop, OpenLoop, Tally
from loadtests.bench.pinning import Cores, running_on
from loadtests.bench.plan import Plan
from loadtests.bench.progress import Step
from loadtests.bench.report import NOTHING, Cells
from loadtests.bench.router_config import write_router_config
from loadtests.bench.server import running_server, running_store
from loadtests.bench.setup import BenchSetup
from loadtests.bench.stacks import ROUTER
from loadtests.bench.traffic import Webhook, make_webhooks, make_webhooks_with_text
from sms_router.sandbox.hosting import free_port

BEGIN = "<!-- upstream:begin -->"
END = "<!-- upstream:end -->"
HEAD = (
    "the upstream answers",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "forwarded, p50 ms",
    "forwarded",
    "wrong",
)

RATE = 500.0
"""Messages to keywords a second, in every row."""
FORWARDED_RATE = 20.0
"""Forwarded messages a second."""
SLOW = 2.0
"""Seconds."""
RESPONSES = (("not called", None), ("at once", 0.0), ("after 2 s", SLOW))
CONNECTIONS = 64
"""For each kind of message, so that one does not wait for the other."""

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
class UpstreamFigures:
    """Medians over the rounds for one response time of the upstream."""

    response: str
    latency: Latency
    """Of the messages to keywords."""
    forwarded_p50: float
    """Milliseconds of the forwarded messages; NaN if there are none."""
    forwarded: int
    wrong: int
    faults: tuple[str, ...]


def count_steps(plan: Plan) -> int:
    """Return the number of steps."""
    return 1 + plan.rounds * len(RESPONSES)


def measure(plan: Plan, cores: Cores, folder: Path, step: Step) -> tuple[UpstreamFigures, ...]:
    """Return the figures for each response time; takes some seconds for each.

    Raises:
        StackError: if the router does not start.

    """
    step("signing the messages")
    setup = BenchSetup(free_port(), folder)
    upstream = free_port()
    rules = write_router_config(setup) / "keywords.toml"
    url = json.dumps(f"http://127.0.0.1:{upstream}/sms")
    rules.write_text(rules.read_text() + RULE.format(url=url))
    seconds = plan.open_seconds + SLOW
    messages = make_webhooks(setup, plan.warmup + math.ceil(RATE * seconds) + 1)
    forwarded = make_webhooks_with_text(setup, math.ceil(FORWARDED_RATE * seconds) + 1, "ticket 2", REPLY)
    tallies: dict[str, list[tuple[Tally, Tally]]] = {response: [] for response, _ in RESPONSES}
    for number in range(1, plan.rounds + 1):
        for response, delay in RESPONSES:
            step(f"round {number}: upstream answers: {response}")
            measurement = _Measurement(setup, upstream, delay, plan.warmup, seconds)
            tallies[response].append(measurement.run(messages, forwarded, cores))
    return tuple(_medians(response, pairs) for response, pairs in tallies.items())


def cells(rows: Sequence[UpstreamFigures]) -> Cells:
    """Return one row per response time."""
    return Cells(HEAD, tuple(_row(figures) for figures in rows))


@dataclass(frozen=True, slots=True)
class _Measurement:
    setup: BenchSetup
    upstream: int
    delay: float | None
    """None: nothing is forwarded."""
    warmup: int
    seconds: float

    def run(
        self, messages: Sequence[Webhook], forwarded: Sequence[Webhook], cores: Cores
    ) -> tuple[Tally, Tally]:
        """Start the router, send both kinds of message, and return the results of each."""
        with (
            running_on(cores.generator),
            running_store(ROUTER, self.setup),
            running_server(ROUTER, self.setup, cores),
        ):
            return uvloop.run(self._load(messages, forwarded))

    async def _load(self, messages: Sequence[Webhook], forwarded: Sequence[Webhook]) -> tuple[Tally, Tally]:
        async with (
            application_at(self.upstream, self.delay or 0.0),
            _connected(self.setup.port) as connections,
            _connected(self.setup.port) as forwarded_connections,
        ):
            warmup = await ClosedLoop(connections, iter(messages[: self.warmup]), self.seconds).run()
            load = OpenLoop(connections, iter(messages[self.warmup :]), RATE).run(self.seconds)
            if self.delay is None:
                both = await load, Tally()
            else:
                forwarded_loop = OpenLoop(forwarded_connections, iter(forwarded), FORWARDED_RATE)
                both = await asyncio.gather(load, forwarded_loop.run(self.seconds))
        if warmup.wrong:
            both[0].record_fault(warmup.faults[0], warmup.wrong)
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
    """Serve an application that answers each message with the same document, after ``delay`` seconds."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Application(delay), "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


class _Application(asyncio.Protocol):
    """One connection to the application."""

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


def _medians(response: str, pairs: Sequence[tuple[Tally, Tally]]) -> UpstreamFigures:
    latencies = [_values(latency_of(tally)) for tally, _ in pairs]
    both = [tally for pair in pairs for tally in pair]
    return UpstreamFigures(
        response,
        Latency(*map(median, zip(*latencies, strict=True))),
        median(latency_of(forwarded).p50 for _, forwarded in pairs),
        sum(forwarded.answered for _, forwarded in pairs),
        sum(tally.wrong for tally in both),
        tuple(fault for tally in both for fault in tally.faults),
    )


def _values(latency: Latency) -> tuple[float, ...]:
    return latency.rate, latency.p50, latency.p99, latency.p999


def _row(figures: UpstreamFigures) -> tuple[str, ...]:
    return (
        figures.response,
        *(f"{value:.2f}" for value in _values(figures.latency)[1:]),
        NOTHING if math.isnan(figures.forwarded_p50) else f"{figures.forwarded_p50:,.2f}",
        str(figures.forwarded),
        str(figures.wrong),
    )
