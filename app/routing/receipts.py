"""Delivery receipts of our replies: kept in any order, each status once."""

from __future__ import annotations

import re

from app.store.journal import Journal
from app.store.keys import bucket_of
from app.store.scripts import RECEIPT
from app.twilio.status import Receipt

_REPLY = re.compile(r"((?:SM|MM)[0-9a-fA-F]{32})\.\d{1,3}")
"""What our callback URL names: the message that was answered, and which of its replies this is."""


class Receipts:
    """Stores receipts beside the message whose answer they speak of."""

    def __init__(self, journal: Journal, retention_days: float) -> None:
        """Keep receipts as long as messages."""
        self._journal = journal
        self._retention = int(retention_days * 86_400_000)

    async def keep(self, receipt: Receipt) -> None:
        """Store a receipt; one that says nothing new changes nothing."""
        bucket = bucket_of(receipt.person)
        key = bucket.receipt(f"{receipt.account_sid}/{receipt.message_sid}")
        answered = _REPLY.fullmatch(receipt.reply or "")
        record = bucket.message(f"{receipt.account_sid}/{answered[1]}") if answered else key
        await self._journal.keep(
            RECEIPT,
            (key, record),
            (
                receipt.status.value,
                receipt.status.rank,
                receipt.error_code or "",
                receipt.sender or "",
                receipt.reply or "",
                self._retention,
                receipt.message_sid,
            ),
        )
