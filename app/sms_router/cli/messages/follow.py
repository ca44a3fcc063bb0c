"""Prints a line for each text as it is answered: ``messages --follow`` and ``serve --dev``."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sms_router.cli.server.phone import why_no_reply
from sms_router.cli.times import format_time
from sms_router.privacy import mask_text
from sms_router.routing.history.follower import JournalFollower
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.timeline import body_of, number_of, shorten
from sms_router.routing.inbox.answer import Outcome

READ_INTERVAL = 0.2
"""Seconds."""

MAX_TEXT, MAX_REPLY = 40, 80
"""Characters in a line."""


def follow(
    history: HistoryReader, *, failed: bool, contact: str | None, late_replies: bool = False
) -> Iterator[MessageRecord]:
    """Yield the messages that arrive, of one contact or of all, without an end."""
    follower = JournalFollower(history, failed=failed, late_replies=late_replies)
    while True:
        for record in follower.read():
            if contact is None or (record.message is not None and record.message.contact == contact):
                yield record
        time.sleep(READ_INTERVAL)


def line_of(record: MessageRecord, *, reveal: bool) -> str:
    """Return time, contact, text, rule, sender and reply, milliseconds and sid of a message."""
    answer = record.late_reply or record.answer
    at = (record.late_reply.at if record.late_reply is not None else None) or record.received or 0
    texts = answer.texts if answer is not None else ()
    took = f"{answer.at - record.received} ms" if answer and answer.at and record.received else "no answer"
    if texts:
        text = " / ".join(texts) if reveal else mask_text("".join(texts))
        sender = f"{answer.sender}: " if answer is not None and answer.sender else ""
        reply = f"{sender}{shorten(text, MAX_REPLY)}"
    elif record.outcome == Outcome.LATE and record.late_reply is None and not record.causes:
        reply = "its handler is late: the reply follows"
    elif record.is_outbound:
        reply = "in the outbox"
    else:
        reply = f"no reply: {why_no_reply(record)}"
    rule = f"late reply of {record.rule}" if record.late_reply is not None else record.rule or "unanswered"
    body = shorten(body_of(record, reveal), MAX_TEXT)
    fields = (
        f"{format_time(at).split()[1]} {number_of(record, reveal)}: {body}",
        record.requester if record.is_outbound else rule,
        reply,
        *(f"failed: {cause.text}" for cause in record.causes[:1]),
        took,
        record.sid,
    )
    return " | ".join(fields)
