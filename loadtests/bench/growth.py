"""What a bigger pool costs: choosing a sender, building the index, and memory, from 10 to 10,000 senders.

``python -m loadtests.bench --part senders`` measures this alone, in some seconds.
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
from sms_router.membership.refresher import decode_snapshot
from sms_router.membership.snapshot import NumberUrls, ServiceProperties, Snapshot
from sms_router.senders.country import area_code_of, country_of
from sms_router.senders.models import Capability, RecipientFacts, SelectionRequest, Sender, SenderKind
from sms_router.senders.pool import Pool
from sms_router.senders.selection import select

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN = "<!-- growth:begin -->"
END = "<!-- growth:end -->"

SIZES = (10, 100, 1_000, 10_000)
PEOPLE = 2_000
ROUNDS = 7
AREA_CODES = ("212", "305", "312", "404", "415", "503", "617", "713", "416", "604")
HEAD = ("senders", "short code, µs", "long code, µs", "index ms", "MB", "stored KB")

_BOTH = Capability.SMS | Capability.MMS
_CODE = Sender("SC" + "1" * 32, "12345", SenderKind.SHORT_CODE, "US", _BOTH)
_FREE = Sender("PN" + "f" * 32, "+18885550100", SenderKind.TOLL_FREE, "US", _BOTH)
_UNREACHED = RecipientFacts(unreachable=frozenset({_CODE.address}))


@dataclass(frozen=True, slots=True)
class Growth:
    """The figures of one size."""

    senders: int
    short_code: float
    """Microseconds to choose for a person whom the short code reaches: the median of the rounds."""
    long_code: float
    """Microseconds when it does not, so that one of the long codes has to be found."""
    index: float
    """Milliseconds from the stored bytes to a pool that serves, off the event loop."""
    memory: float
    """Megabytes that a worker holds for it: snapshot, index, and what was decided."""
    stored: float
    """Kilobytes in Redis."""


def measure(sizes: Sequence[int] = SIZES, people: int = PEOPLE, rounds: int = ROUNDS) -> tuple[Growth, ...]:
    """Return the figures of each size; takes some seconds."""
    return tuple(_measured(size, requests(people), rounds) for size in sizes)


def show(figures: Sequence[Growth], rounds: int = ROUNDS) -> Table:
    """Return the table for the terminal."""
    return as_table(_cells(figures), f"pools that grow: medians of {rounds} rounds")


def write(figures: Sequence[Growth], day: date, rounds: int = ROUNDS) -> None:
    """Put the table into the README, between markers of its own."""
    told = f"Measured {day.isoformat()}: medians of {rounds} rounds over {PEOPLE:,} people."
    write_between_markers(README, f"{told}\n\n{as_markdown(_cells(figures))}", BEGIN, END)


def _measured(size: int, replies: Sequence[SelectionRequest], rounds: int) -> Growth:
    stored = service_of(size).to_bytes()
    gc.collect()
    tracemalloc.start()
    snapshot, pool = decode_snapshot(stored)
    short_code = _choose(pool, replies)
    long_code = _choose(pool, replies, _UNREACHED)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {short_code, long_code} <= {sender.address for sender in snapshot.senders}
    return Growth(
        size,
        _median(lambda: _choose(pool, replies), rounds) / len(replies) * 1e6,
        _median(lambda: _choose(pool, replies, _UNREACHED), rounds) / len(replies) * 1e6,
        _median(lambda: decode_snapshot(stored), rounds) * 1e3,
        held / 1e6,
        len(stored) / 1e3,
    )


def _choose(
    pool: Pool, requests: Sequence[SelectionRequest], facts: RecipientFacts | None = None
) -> str | None:
    """Choose for everybody; return the last address, so that the work is not for nothing."""
    address = None
    for request in requests:
        decision = select(pool, request) if facts is None else select(pool, request, facts)
        address = decision.address
    return address


def _median(work: Callable[[], object], rounds: int) -> float:
    """Return the seconds that a piece of work takes."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def requests(people: int) -> list[SelectionRequest]:
    """Return replies to people of eight American and two Canadian cities."""
    persons = [f"+1{AREA_CODES[index % len(AREA_CODES)]}555{index % 10_000:04}" for index in range(people)]
    return [
        SelectionRequest(
            person, country_of(person, None), area_code_of(person), Capability.SMS, texted=_CODE.address
        )
        for person in persons
    ]


def service_of(size: int) -> Snapshot:
    """Return a Service with a short code, a toll-free number, and long codes that had URLs for the rest."""
    senders = (_CODE, _FREE, *(_long_code(index) for index in range(size - 2)))
    urls = {each.sid: NumberUrls(each.address, "https://old.example.com/sms") for each in senders}
    settings = ServiceProperties("Growing", "https://sms.example.com/sms")
    return Snapshot("AC" + "0" * 32, "MG" + "0" * 32, senders, settings, urls, 0.0, 1)


def _long_code(index: int) -> Sender:
    address = f"+1{AREA_CODES[index % len(AREA_CODES)]}{5_550_000 + index // len(AREA_CODES)}"
    return Sender(f"PN{index:032x}", address, SenderKind.LONG_CODE, country_of(address, None), _BOTH)


def _cells(figures: Sequence[Growth]) -> Cells:
    return Cells(
        HEAD,
        tuple(
            (
                f"{each.senders:,}",
                f"{each.short_code:.1f}",
                f"{each.long_code:.1f}",
                f"{each.index:.1f}",
                f"{each.memory:.2f}",
                f"{each.stored:.0f}",
            )
            for each in figures
        ),
    )
