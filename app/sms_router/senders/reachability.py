"""Which senders do not reach a contact, inferred from stored failures; pure.

The failures are stored, not the conclusion: the order in which receipts arrive does not matter, a changed
error table applies at once, and the state at any moment can be computed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sms_router.senders.error_table import ErrorClass, ErrorEntry, ErrorTable


class FailedDelivery(NamedTuple):
    """One message that was not delivered."""

    code: int
    at: int
    """Milliseconds since the epoch: when the message that it answers came in."""


@dataclass(frozen=True, slots=True)
class UnreachableSender:
    """A sender whose messages do not reach one contact."""

    address: str
    code: int
    failures: int
    """Failures with this code."""
    since: int
    until: int
    """Milliseconds since the epoch; then the sender is tried again."""


def read_failures(stored: str) -> tuple[FailedDelivery, ...]:
    """Read the failures of one sender as they are stored: ``30006@1732280000000 30003@...``."""
    pairs = (item.partition("@") for item in stored.split())
    return tuple(
        FailedDelivery(int(code), int(at)) for code, _, at in pairs if code.isdecimal() and at.isdecimal()
    )


def infer_unreachable(
    address: str, failures: Iterable[FailedDelivery], table: ErrorTable, now: int
) -> UnreachableSender | None:
    """Return whether a sender is unreachable at a moment, for the code that lasts longest; None if it is not.

    Failures after the moment do not count.
    """
    past = [failure for failure in failures if failure.at <= now]
    codes = sorted({failure.code for failure in past})
    inferred = [
        unreachable
        for code in codes
        if (entry := table.find(code)) is not None and entry.error_class is ErrorClass.SENDER
        if (unreachable := _infer(address, code, entry, past)) is not None and now < unreachable.until
    ]
    return max(inferred, key=lambda unreachable: unreachable.until, default=None)


def _infer(
    address: str, code: int, entry: ErrorEntry, failures: Iterable[FailedDelivery]
) -> UnreachableSender | None:
    times = sorted(failure.at for failure in failures if failure.code == code)
    counted = [at for at in times if at > times[-1] - entry.ttl_ms]
    if len(counted) < entry.threshold:
        return None
    return UnreachableSender(
        address, code, len(counted), counted[entry.threshold - 1], times[-1] + entry.ttl_ms
    )
