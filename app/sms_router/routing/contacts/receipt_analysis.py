"""What a receipt proves about a contact and a sender."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from sms_router.routing.contacts.contacts import Contacts
from sms_router.senders.country import country_of
from sms_router.senders.error_table import ErrorClass, ErrorEntry
from sms_router.senders.models import Sender, SenderKind
from sms_router.senders.pool import Pool, PoolFinder
from sms_router.twilio.status import Receipt

UNKNOWN_CODE = "unknown"
"""The error class, in metrics, of a code that the error table does not contain."""

MMS_PREFIX = "MM"
"""Begins the sids of messages with media; their delivery says nothing about texts."""


class DeliveryProof(StrEnum):
    """What is stored for the contact; the values are those of the receipt's script."""

    NOTHING = ""
    FAILED = "failed"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class ReceiptAnalysis:
    """The result of analyzing one receipt."""

    scope: str
    """The Service, or the number outside of Services (`Contacts.scope_of`)."""
    evidence: DeliveryProof
    error_class: str | None
    """The class of the error, or `UNKNOWN_CODE`; None when the message has not failed."""
    opted_out: bool
    """True when the error says that the contact has opted out at Twilio."""
    is_ours: bool
    """True when the sender belongs to a pool."""
    has_alternatives: bool
    """True when other senders of the same kind and country exist, so that the last sender is stored."""
    sender_error: ErrorEntry | None
    """The error, when a short code has not reached the contact and another sender may."""


@dataclass(slots=True, eq=False)
class ReceiptAnalyzer:
    """Analyzes receipts with the error table and the pools."""

    contacts: Contacts
    pool_for: PoolFinder
    _counts: dict[str, tuple[Pool, Counter[tuple[SenderKind, str | None]]]] = field(
        default_factory=dict, init=False
    )

    def analyze(self, receipt: Receipt) -> ReceiptAnalysis:
        """Return what a receipt proves; only failures of short codes are evidence against a sender."""
        address = receipt.sender or ""
        pool = self.pool_for(receipt.service_sid, address, receipt.account_sid)
        sender = pool.find(address, country_of(receipt.contact, None)) if pool is not None else None
        error = self.contacts.table.find(receipt.error_code) if receipt.status.is_failed else None
        is_short_code = address.isdigit() if sender is None else sender.kind is SenderKind.SHORT_CODE
        has_alternatives = pool is not None and sender is not None and self._count(pool, sender) > 1
        blames_short_code = (
            is_short_code and error is not None and _blames_sender(error, sender, receipt.contact)
        )
        error_class = None
        if receipt.status.is_failed:
            error_class = error.error_class.value if error is not None else UNKNOWN_CODE
        evidence = DeliveryProof.NOTHING
        if not receipt.message_sid.startswith(MMS_PREFIX) and address:
            if receipt.status.is_delivered and (is_short_code or has_alternatives):
                evidence = DeliveryProof.DELIVERED
            elif blames_short_code:
                evidence = DeliveryProof.FAILED
        return ReceiptAnalysis(
            scope=self.contacts.scope_of(receipt.service_sid, address, receipt.account_sid),
            evidence=evidence,
            error_class=error_class,
            opted_out=error is not None and error.error_class is ErrorClass.OPT_OUT,
            is_ours=sender is not None,
            has_alternatives=has_alternatives,
            sender_error=error if blames_short_code and address else None,
        )

    def blames_sender(
        self, error: ErrorEntry, address: str, service_sid: str | None, contact: str, account_sid: str
    ) -> bool:
        """Return whether an error is due to the sender, so that another one may reach the contact."""
        pool = self.pool_for(service_sid, address, account_sid)
        sender = pool.find(address, country_of(contact, None)) if pool is not None else None
        return _blames_sender(error, sender, contact)

    def _count(self, pool: Pool, sender: Sender) -> int:
        """Count the senders of a kind and country; the counts of a pool are cached."""
        cached = self._counts.get(pool.service_sid)
        if cached is None or cached[0] is not pool:
            cached = pool, Counter((member.kind, member.country) for member in pool.senders)
            self._counts[pool.service_sid] = cached
        return cached[1][sender.kind, sender.country]


def _blames_sender(error: ErrorEntry, sender: Sender | None, contact: str) -> bool:
    if error.error_class is not ErrorClass.SENDER:
        return False
    if not error.only_abroad:
        return True
    return sender is not None and sender.country != country_of(contact, None)
