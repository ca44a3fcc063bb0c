"""Handles status callbacks: stores receipts, updates the contact, re-routes failed replies.

Callbacks may arrive in any order and more than once; each status counts once.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sms_router.delivery.entry import MessagePart, OutboxEntry
from sms_router.privacy import mask_number
from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.contacts.receipt_analysis import ReceiptAnalysis, ReceiptAnalyzer
from sms_router.routing.opt_outs.evidence import Event, Evidence, How
from sms_router.senders.error_table import MAX_THRESHOLD
from sms_router.senders.reachability import infer_unreachable, read_failures
from sms_router.store import scripts
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.twilio.status import MessageStatus, Receipt

log = logging.getLogger("sms_router.receipts")

_REPLY_ID = re.compile(r"((?:SM|MM)[0-9a-fA-F]{32})\.(.*)")
"""The identifier in our callback URLs: the sid of the inbound message, and the part of the reply."""

_OTHER_SENDERS = "other"
"""The sender, in metrics, of failures of numbers in none of our pools."""


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """A new failure, for metrics."""

    error_class: str
    sender: str


class Resend(NamedTuple):
    """What follows a failed reply, beside the evidence against its sender."""

    entry: OutboxEntry | None = None
    """The outbox entry that sends the message once more, from another sender."""
    reason: str = ""
    threshold: int = 1
    """Failures from which on the sender is unreachable; the message is then sent once more."""
    ttl_ms: int = 0
    """Milliseconds for which a failure counts."""
    dead_letter: str = ""
    """The cause of a dead letter: the re-routed message has failed as well."""


_NO_RESEND = Resend()


@dataclass(frozen=True, slots=True, eq=False)
class ReceiptHandler:
    """Stores receipts with the message whose reply they report, and acts on failures."""

    writer: DurableWriter
    """Keeps receipts while Redis is unavailable."""
    retention_days: float
    analyzer: ReceiptAnalyzer
    wake_outbox: Callable[[str], None] | None = None
    """Called with the contact when a reply is to be re-routed; None disables re-routing."""
    record_result: Callable[[str, str | None], None] = lambda _, __: None
    """Called with the sender and the error class, or None, of each message of ours that was delivered or has
    failed."""

    @property
    def _contacts(self) -> Contacts:
        return self.analyzer.contacts

    async def handle(self, receipt: Receipt) -> DeliveryFailure | None:
        """Store a receipt and act on it; return the failure if it reports a new one.

        A repeated status, or one that a later status has overtaken, changes nothing.
        """
        analysis = self.analyzer.analyze(receipt)
        match = _REPLY_ID.fullmatch(receipt.reply_id or "")
        part = MessagePart.parse(match[2]) if match else None
        reference = f"{receipt.account_sid}/{match[1]}" if match and part else None
        if analysis.opted_out:
            code, sender = str(receipt.error_code), receipt.sender or ""
            evidence = Evidence(Event.STOP, How.STATUS, code, receipt.message_sid, sender)
            await self._contacts.change_consent(analysis.scope, receipt.contact, evidence, reference)
        resend = self._resend(receipt, reference, part, analysis)
        result = await self._store(receipt, reference, analysis, resend)
        if result == 0:
            return None
        if isinstance(result, list):
            _, failures, is_rerouted = result
            if failures:
                self._log_unreachable(receipt, failures.decode())
            if is_rerouted:
                log.warning(
                    "the reply %s to %s failed from %s (error %s): it is re-routed to another sender",
                    receipt.message_sid, mask_number(receipt.contact), receipt.sender, receipt.error_code,
                )  # fmt: skip
                if self.wake_outbox is not None:
                    self.wake_outbox(receipt.contact)
        if analysis.is_ours and (receipt.status.is_failed or receipt.status is MessageStatus.DELIVERED):
            self.record_result(receipt.sender or "", analysis.error_class)
        if analysis.error_class is None:
            return None
        sender = (receipt.sender or "") if analysis.is_ours else _OTHER_SENDERS
        return DeliveryFailure(analysis.error_class, sender)

    def _resend(
        self, receipt: Receipt, reference: str | None, part: MessagePart | None, analysis: ReceiptAnalysis
    ) -> Resend:
        """Decide whether a failed reply is sent once more, or is a dead letter."""
        if part is None or reference is None or not receipt.status.is_failed:
            return _NO_RESEND
        if part.resend:
            cause = f"re-routed to {receipt.sender}, which failed as well: error {receipt.error_code}"
            return Resend(dead_letter=f"{part.name}: {cause}")
        if self.wake_outbox is None or analysis.sender_error is None:
            return _NO_RESEND
        entry = OutboxEntry(reference, part.repeated().name, analysis.scope, receipt.contact)
        reason = f"error {receipt.error_code} from {receipt.sender}"
        return Resend(entry, reason, analysis.sender_error.threshold, analysis.sender_error.ttl_ms)

    async def _store(
        self, receipt: Receipt, reference: str | None, analysis: ReceiptAnalysis, resend: Resend
    ) -> object:
        """Run the script; return 0 if the status is not new, else 1 or a list (see the script)."""
        call = scripts.record_receipt(
            scope=analysis.scope,
            contact=receipt.contact,
            receipt=f"{receipt.account_sid}/{receipt.message_sid}",
            message=reference,
            status=receipt.status.value,
            rank=receipt.status.rank,
            error_code=str(receipt.error_code or ""),
            sender=receipt.sender or "",
            reply=receipt.reply_id or "",
            retention_ms=int(self.retention_days * 86_400_000),
            sid=receipt.message_sid,
            evidence=analysis.evidence,
            received_at=self._contacts.now(),
            contact_ttl_ms=self._contacts.table.max_ttl_ms,
            max_failures=MAX_THRESHOLD,
            has_alternatives="1" if analysis.has_alternatives else "",
            resend_part=resend.entry.name if resend.entry is not None else "",
            resend_entry=resend.entry.line if resend.entry is not None else b"",
            reason=resend.reason,
            failure_threshold=resend.threshold,
            max_failure_age_ms=resend.ttl_ms,
            cause=resend.dead_letter,
            raised=self._event(receipt, reference, analysis),
        )
        return await self.writer.write(call)

    def _event(
        self, receipt: Receipt, reference: str | None, analysis: ReceiptAnalysis
    ) -> scripts.RaisedEvent:
        is_delivered = receipt.status is MessageStatus.DELIVERED
        if not is_delivered and not receipt.status.is_failed:
            return scripts.NO_EVENT
        return self._contacts.events.record(
            "delivered" if is_delivered else "undelivered",
            analysis.scope,
            receipt.contact,
            receipt.message_sid,
            self._contacts.now(),
            account=receipt.account_sid,
            to=receipt.sender or "",
            About=receipt.message_sid,
            Answers=(reference or "").partition("/")[2],
            ErrorCode=str(receipt.error_code or ""),
        )

    def _log_unreachable(self, receipt: Receipt, stored: str) -> None:
        """Log that the sender is unreachable for the contact, if the stored failures prove it."""
        if receipt.sender is None:
            return
        failures = read_failures(stored)
        now = max(self._contacts.now(), *(failure.at for failure in failures))
        unreachable = infer_unreachable(receipt.sender, failures, self._contacts.table, now)
        if unreachable is not None:
            until = datetime.fromtimestamp(unreachable.until / 1000, UTC)
            log.warning(
                "messages from %s do not reach %s (error %s, failures: %d); another sender is used until %s",
                receipt.sender,
                mask_number(receipt.contact),
                unreachable.code,
                unreachable.failures,
                until.strftime("%Y-%m-%d %H:%M UTC"),
            )
