"""What a receipt teaches about the person it speaks of (design 7)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from sms_router.routing.contacts.contacts import Contacts
from sms_router.senders.country import country_of
from sms_router.senders.error_table import ErrorClass, ErrorEntry
from sms_router.senders.models import Sender, SenderKind
from sms_router.senders.pool import Pool, PoolFinder
from sms_router.twilio.status import Receipt

UNKNOWN_CODE = "unknown"
"""The class, in metrics, of codes that the error table does not have."""

PICTURE = "MM"
"""How the sids of messages with media begin; what becomes of them says nothing about texts."""


class Evidence(StrEnum):
    """What is kept; the values are those of the receipt's script."""

    NOTHING = ""
    FAILED = "failed"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class ReceiptAnalysis:
    """What one receipt teaches."""

    scope: str
    """Where it belongs: a Service's sid, or a number outside Services."""
    teaches: Evidence
    fault: str | None
    """Class of the failure; None when it did not fail."""
    opted_out: bool
    ours: bool
    """True when the sender is known to be one of ours."""
    has_alternatives: bool
    """True when other senders could have stood in its place, so that it is worth keeping which it was."""
    sender_fault: ErrorEntry | None
    """Set when another sender may reach the person where this short code did not."""


class ReceiptAnalyzer:
    """Reads receipts with the error table and the pools at hand."""

    def __init__(self, people: Contacts, pool_for: PoolFinder) -> None:
        """Take where facts are kept and where pools come from."""
        self.people = people
        self._pool_for = pool_for
        self._kinds: dict[str, tuple[Pool, Counter[tuple[SenderKind, str | None]]]] = {}

    def analyze(self, receipt: Receipt) -> ReceiptAnalysis:
        """Return what a receipt teaches; a failure counts against short codes only."""
        address = receipt.sender or ""
        pool = self._pool_for(receipt.service_sid, address)
        sender = pool.find(address, country_of(receipt.person, None)) if pool is not None else None
        entry = self.people.table.find(receipt.error_code)
        short_code = address.isdigit() if sender is None else sender.kind is SenderKind.SHORT_CODE
        has_equals = pool is not None and sender is not None and self._equals(pool, sender) > 1
        blamed = (
            receipt.status.is_failed
            and short_code
            and entry
            and _speaks_of_sender(entry, sender, receipt.person)
        )
        teaches = Evidence.NOTHING
        if not receipt.message_sid.startswith(PICTURE) and address:
            if receipt.status.is_delivered and (short_code or has_equals):
                teaches = Evidence.DELIVERED
            elif blamed:
                teaches = Evidence.FAILED
        return ReceiptAnalysis(
            scope=self.people.scope_of(receipt.service_sid, address),
            teaches=teaches,
            fault=_fault(receipt, entry),
            opted_out=receipt.status.is_failed
            and entry is not None
            and entry.error_class is ErrorClass.OPT_OUT,
            ours=sender is not None,
            has_alternatives=has_equals,
            sender_fault=entry if blamed and address else None,
        )

    def blames_sender(self, entry: ErrorEntry, address: str, service_sid: str | None, person: str) -> bool:
        """Tell whether an error speaks of this sender, so that another one may do better."""
        pool = self._pool_for(service_sid, address)
        sender = pool.find(address, country_of(person, None)) if pool is not None else None
        return _speaks_of_sender(entry, sender, person)

    def _equals(self, pool: Pool, sender: Sender) -> int:
        """Count the senders of this kind and country; a pool is counted once."""
        known = self._kinds.get(pool.service_sid)
        if known is None or known[0] is not pool:
            known = pool, Counter((each.kind, each.country) for each in pool.senders)
            self._kinds[pool.service_sid] = known
        return known[1][sender.kind, sender.country]


def _fault(receipt: Receipt, entry: ErrorEntry | None) -> str | None:
    if not receipt.status.is_failed:
        return None
    return entry.error_class.value if entry is not None else UNKNOWN_CODE


def _speaks_of_sender(entry: ErrorEntry, sender: Sender | None, person: str) -> bool:
    if entry.error_class is not ErrorClass.SENDER:
        return False
    if not entry.only_abroad:
        return True
    return sender is not None and sender.country != country_of(person, None)
