"""What failed deliveries say about one person: pure conclusions from kept evidence (design 7).

Kept are the failures themselves, not what was concluded from them: so the order in which receipts come
does not matter, a changed error table holds at once, and any moment can be asked about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sms_router.senders.error_table import ErrorClass, ErrorEntry, ErrorTable


class Failure(NamedTuple):
    """One message that did not arrive."""

    code: int
    at: int
    """Milliseconds since the epoch: when the text that it answered came in."""


@dataclass(frozen=True, slots=True)
class UnreachableSender:
    """A sender that is taken not to reach this person."""

    address: str
    code: int
    times: int
    """How many failures it rests on."""
    since: int
    until: int
    """Milliseconds since the epoch; then the sender is tried again."""


def read_failures(kept: str) -> tuple[Failure, ...]:
    """Read the failures of one sender as they are kept: ``30006@1732280000000 30003@...``."""
    return tuple(_read(kept))


def _read(kept: str) -> Iterator[Failure]:
    for each in kept.split():
        code, _, at = each.partition("@")
        if code.isdecimal() and at.isdecimal():
            yield Failure(int(code), int(at))


def infer_unreachable(
    address: str, failures: Iterable[Failure], table: ErrorTable, now: int
) -> UnreachableSender | None:
    """Return what is believed of a sender at a moment, None when it may be tried.

    Failures after the moment do not count. Of several beliefs the one that lasts longest is told.
    """
    known = [failure for failure in failures if failure.at <= now]
    codes = sorted({failure.code for failure in known})
    found = [
        made
        for entry in map(table.find, codes)
        if entry is not None and entry.error_class is ErrorClass.SENDER
        if (made := _believed(address, entry, known)) is not None and now < made.until
    ]
    return max(found, key=lambda made: made.until, default=None)


def _believed(address: str, entry: ErrorEntry, failures: Iterable[Failure]) -> UnreachableSender | None:
    """Conclude from the failures with one code: enough of them, none older than a belief lasts."""
    times = sorted(failure.at for failure in failures if failure.code == entry.code)
    counted = [at for at in times if at > times[-1] - entry.ttl_ms]
    if len(counted) < entry.threshold:
        return None
    return UnreachableSender(
        address, entry.code, len(counted), counted[entry.threshold - 1], times[-1] + entry.ttl_ms
    )
