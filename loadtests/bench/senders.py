"""Sender selection, index and memory with a Sender Pool of 10 to 10,000 senders.

``python -m loadtests.bench --part senders`` measures only this, in some seconds.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.table import Table

from loadtests.bench.report import Cells, as_markdown, as_table, write_between_markers
from sms_router.membership.snapshot import ServiceProperties, Snapshot, decode_snapshot
from sms_router.senders.country import area_code_of, country_of
from sms_router.senders.models import Capability, RecipientFacts, SelectionRequest, Sender, SenderKind
from sms_router.senders.pool import Pool
from sms_router.senders.selection import select
from sms_router.twilio.webhook_url import NumberUrls

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN = "<!-- growth:begin -->"
END = "<!-- growth:end -->"

SIZES = (10, 100, 1_000, 10_000)
CONTACTS = 2_000
ROUNDS = 7
AREA_CODES = ("212", "305", "312", "404", "415", "503", "617", "713", "416", "604")
HEAD = ("senders", "short code, µs", "long code, µs", "index ms", "MB", "stored KB")

_BOTH = Capability.SMS | Capability.MMS
_SHORT_CODE = Sender("SC" + "1" * 32, "12345", SenderKind.SHORT_CODE, "US", _BOTH)
_TOLL_FREE = Sender("PN" + "f" * 32, "+18885550100", SenderKind.TOLL_FREE, "US", _BOTH)
_UNREACHABLE = RecipientFacts(unreachable=frozenset({_SHORT_CODE.address}))


@dataclass(frozen=True, slots=True)
class SenderFigures:
    """The figures of one size."""

    senders: int
    short_code: float
    """Microseconds to select for a contact whom the short code reaches: the median of the rounds."""
    long_code: float
    """Microseconds for a contact whom it does not reach, so that a long code is selected."""
    index: float
    """Milliseconds to build the pool from the stored bytes, off the event loop."""
    memory: float
    """Megabytes in a worker: the snapshot and its index."""
    stored: float
    """Kilobytes in Redis."""


def measure(
    sizes: Sequence[int] = SIZES, contacts: int = CONTACTS, rounds: int = ROUNDS
) -> tuple[SenderFigures, ...]:
    """Return the figures of each size; takes some seconds."""
    return tuple(_measure(size, requests(contacts), rounds) for size in sizes)


def show(figures: Sequence[SenderFigures], rounds: int = ROUNDS) -> Table:
    """Return the table for the terminal."""
    return as_table(_cells(figures), f"selection by pool size: medians of {rounds} rounds")


def write(figures: Sequence[SenderFigures], day: date, rounds: int = ROUNDS) -> None:
    """Write the table into the README."""
    description = f"Measured {day.isoformat()}: medians of {rounds} rounds over {CONTACTS:,} contacts."
    write_between_markers(README, f"{description}\n\n{as_markdown(_cells(figures))}", BEGIN, END)


def _measure(size: int, replies: Sequence[SelectionRequest], rounds: int) -> SenderFigures:
    stored = service_of(size).to_bytes()
    gc.collect()
    tracemalloc.start()
    snapshot, pool = decode_snapshot(stored)
    short_code = _select_all(pool, replies)
    long_code = _select_all(pool, replies, _UNREACHABLE)
    gc.collect()
    memory, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {short_code, long_code} <= {sender.address for sender in snapshot.senders}
    return SenderFigures(
        size,
        _median(lambda: _select_all(pool, replies), rounds) / len(replies) * 1e6,
        _median(lambda: _select_all(pool, replies, _UNREACHABLE), rounds) / len(replies) * 1e6,
        _median(lambda: decode_snapshot(stored), rounds) * 1e3,
        memory / 1e6,
        len(stored) / 1e3,
    )


def _select_all(
    pool: Pool, requests: Sequence[SelectionRequest], facts: RecipientFacts | None = None
) -> str | None:
    """Select for each request, and return the last address."""
    address = None
    for request in requests:
        decision = select(pool, request) if facts is None else select(pool, request, facts)
        address = decision.address
    return address


def _median(work: Callable[[], object], rounds: int) -> float:
    """Return the seconds of ``work``."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def requests(contacts: int) -> list[SelectionRequest]:
    """Return replies to contacts of eight area codes in the US and two in Canada."""
    numbers = [f"+1{AREA_CODES[index % len(AREA_CODES)]}555{index % 10_000:04}" for index in range(contacts)]
    return [
        SelectionRequest(
            number, country_of(number, None), area_code_of(number), Capability.SMS, texted=_SHORT_CODE.address
        )
        for number in numbers
    ]


def service_of(size: int) -> Snapshot:
    """Return a Service with a short code, a toll-free number, and long codes with URLs of their own."""
    senders = (_SHORT_CODE, _TOLL_FREE, *(_long_code(index) for index in range(size - 2)))
    urls = {sender.sid: NumberUrls(sender.address, "https://old.example.com/sms") for sender in senders}
    settings = ServiceProperties("Benchmark", "https://sms.example.com/sms")
    return Snapshot("AC" + "0" * 32, "MG" + "0" * 32, senders, settings, urls, 0.0, 1)


def _long_code(index: int) -> Sender:
    address = f"+1{AREA_CODES[index % len(AREA_CODES)]}{5_550_000 + index // len(AREA_CODES)}"
    return Sender(f"PN{index:032x}", address, SenderKind.LONG_CODE, country_of(address, None), _BOTH)


def _cells(figures: Sequence[SenderFigures]) -> Cells:
    return Cells(
        HEAD,
        tuple(
            (
                f"{row.senders:,}",
                f"{row.short_code:.1f}",
                f"{row.long_code:.1f}",
                f"{row.index:.1f}",
                f"{row.memory:.2f}",
                f"{row.stored:.0f}",
            )
            for row in figures
        ),
    )
