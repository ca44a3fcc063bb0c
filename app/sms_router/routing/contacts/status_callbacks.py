"""Delivery receipts of our replies: kept in any order, each status once, and learned from."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from sms_router.delivery.entry import MessagePart, OutboxEntry
from sms_router.privacy import mask_number
from sms_router.routing.contacts.receipt_analysis import Evidence, ReceiptAnalysis, ReceiptAnalyzer
from sms_router.senders.error_table import MAX_THRESHOLD
from sms_router.senders.reachability import infer_unreachable, read_failures
from sms_router.store import scripts
from sms_router.store.spool.durable_writer import DurableWriter
from sms_router.twilio.status import MessageStatus, Receipt

log = logging.getLogger("sms_router.receipts")

_REPLY = re.compile(r"((?:SM|MM)[0-9a-fA-F]{32})\.(.*)")
"""What our callback URL names: the message that was answered, and which of its replies this is."""

_ELSEWHERE = "other"
"""The sender, in metrics, of failures of numbers that are not known to be ours."""


@dataclass(frozen=True, slots=True)
class DeliveryFailure:
    """A failure that was not known before, for the metrics."""

    kind: str
    """Its class by the error table, or that the code is not in it."""
    sender: str


class Resend(NamedTuple):
    """What a failure leads to, beside what it teaches."""

    entry: OutboxEntry | None = None
    """The same message once more, from another sender."""
    why: str = ""
    times: int = 1
    """So many failures are believed to be the sender's."""
    believed: int = 0
    """Milliseconds that a failure counts."""
    dead_letter: str = ""
    """Why an operator should know: the message was sent a second time, and failed as well."""


_NOTHING = Resend()


class ReceiptHandler:
    """Stores receipts beside the message whose answer they speak of."""

    def __init__(
        self,
        journal: DurableWriter,
        retention_days: float,
        lessons: ReceiptAnalyzer | None = None,
        nudge: Callable[[str], None] | None = None,
        seen: Callable[[str, str | None], None] = lambda _, __: None,
    ) -> None:
        """Keep receipts as long as messages; without ``lessons`` nothing is learned from them.

        ``nudge`` is told the person when a reply of theirs is to be sent once more; without it none is.
        ``seen`` is told what became of each text of a number of ours: the class of its error, or None.
        """
        self._journal = journal
        self._retention = int(retention_days * 86_400_000)
        self._lessons = lessons
        self._nudge = nudge
        self._seen = seen

    async def handle(self, receipt: Receipt) -> DeliveryFailure | None:
        """Store a receipt and learn from it; one that says nothing new changes nothing."""
        lesson = self._lessons.analyze(receipt) if self._lessons is not None else None
        answered = _REPLY.fullmatch(receipt.reply or "")
        piece = MessagePart.parse(answered[2]) if answered else None
        reference = f"{receipt.account_sid}/{answered[1]}" if answered and piece else None
        if lesson is not None and self._lessons is not None and lesson.opted_out:
            await self._lessons.people.opt_out(
                lesson.scope, receipt.person, str(receipt.error_code), reference
            )
        repeat = self._repeat(receipt, reference, piece, lesson)
        found = await self._store(receipt, reference, lesson, repeat)
        if lesson is None or found == 0:
            return None
        if isinstance(found, list):
            if found[1]:
                self._log_belief(receipt, found[1].decode())
            if found[2]:
                self._send_again(receipt)
        if lesson.ours and (receipt.status.is_failed or receipt.status is MessageStatus.DELIVERED):
            self._seen(receipt.sender or "", lesson.fault)
        if lesson.fault is None:
            return None
        return DeliveryFailure(lesson.fault, (receipt.sender or "") if lesson.ours else _ELSEWHERE)

    def _repeat(
        self,
        receipt: Receipt,
        reference: str | None,
        piece: MessagePart | None,
        lesson: ReceiptAnalysis | None,
    ) -> Resend:
        """Say what becomes of a reply that was lost for its sender."""
        if piece is None or reference is None or lesson is None or not receipt.status.is_failed:
            return _NOTHING
        if piece.resend:
            cause = f"sent once more from {receipt.sender}, and lost as well: error {receipt.error_code}"
            return Resend(dead_letter=f"{piece.name}: {cause}")
        if self._nudge is None or lesson.sender_fault is None:
            return _NOTHING
        entry = OutboxEntry(reference, piece.repeated().name, lesson.scope, receipt.person)
        why = f"error {receipt.error_code} from {receipt.sender}"
        return Resend(entry, why, lesson.sender_fault.threshold, lesson.sender_fault.ttl_ms)

    def _send_again(self, receipt: Receipt) -> None:
        log.warning(
            "the reply %s to %s failed from %s (error %s): it is sent once more, from another number",
            receipt.message_sid,
            mask_number(receipt.person),
            receipt.sender,
            receipt.error_code,
        )
        if self._nudge is not None:
            self._nudge(receipt.person)

    async def _store(
        self, receipt: Receipt, reference: str | None, lesson: ReceiptAnalysis | None, repeat: Resend
    ) -> object:
        people = self._lessons.people if self._lessons is not None else None
        call = scripts.record_receipt(
            scope=lesson.scope if lesson is not None else "",
            contact=receipt.person,
            receipt=f"{receipt.account_sid}/{receipt.message_sid}",
            message=reference,
            status=receipt.status.value,
            rank=receipt.status.rank,
            error_code=str(receipt.error_code or ""),
            sender=receipt.sender or "",
            reply=receipt.reply or "",
            retention_ms=self._retention,
            sid=receipt.message_sid,
            evidence=lesson.teaches if lesson is not None else Evidence.NOTHING,
            received_at=people.now() if people is not None else 0,
            contact_ttl_ms=people.table.max_ttl_ms if people is not None else 0,
            max_failures=MAX_THRESHOLD,
            has_alternatives="1" if lesson is not None and lesson.has_alternatives else "",
            resend_part=repeat.entry.name if repeat.entry is not None else "",
            resend_entry=repeat.entry.line if repeat.entry is not None else b"",
            reason=repeat.why,
            failure_threshold=repeat.times,
            max_failure_age_ms=repeat.believed,
            cause=repeat.dead_letter,
        )
        return await self._journal.write(call)

    def _log_belief(self, receipt: Receipt, kept: str) -> None:
        """Say in the log what is believed since this failure."""
        if self._lessons is None or receipt.sender is None:
            return
        people = self._lessons.people
        failures = read_failures(kept)
        now = max(people.now(), *(failure.at for failure in failures))
        made = infer_unreachable(receipt.sender, failures, people.table, now)
        if made is not None:
            until = datetime.fromtimestamp(made.until / 1000, UTC)
            log.warning(
                "%s is believed not to reach %s until %s (error %s, failures: %d);"
                " another number answers them meanwhile",
                receipt.sender,
                mask_number(receipt.person),
                until.strftime("%Y-%m-%d %H:%M UTC"),
                made.code,
                made.failures,
            )
