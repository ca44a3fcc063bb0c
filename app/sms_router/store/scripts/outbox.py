"""The calls of the scripts for the outbox: what leaves by REST."""

from __future__ import annotations

from sms_router.store.connection import Argument
from sms_router.store.keys import Bucket, bucket_of
from sms_router.store.scripts import RaisedEvent
from sms_router.store.scripts.loader import SCRIPTS, Call


def enqueue(
    *,
    contact: str,
    reference: str,
    kind: str,
    document: bytes,
    trail: bytes,
    reason: str,
    work: bytes,
    entry_suffix: bytes,
    count: int,
    retention_ms: int,
    cause: bytes,
    since: int | bytes,
    request: bytes,
    received: int | bytes,
    empty_answer: bytes,
    delay_ms: int = 0,
) -> Call:
    """Put the messages of one document into the outbox.

    With a ``request``, a message that Redis has lost is stored again.
    """
    bucket = bucket_of(contact)
    keys = (bucket.message(reference), bucket.outbox, bucket.dead_letters, bucket.journal)
    arguments = (
        reference, kind, document, trail, reason, work, entry_suffix, count, retention_ms, cause, since,
        request, received, empty_answer, b"", delay_ms,
    )  # fmt: skip
    return SCRIPTS["outbox_enqueue"], keys, arguments


def schedule(
    *,
    contact: str,
    reference: str,
    document: bytes,
    trail: bytes,
    reason: str,
    entry_suffix: bytes,
    count: int,
    due: int,
    retention_ms: int,
    request: bytes,
    empty_answer: bytes,
    delay_ms: int = 0,
) -> Call:
    bucket = bucket_of(contact)
    arguments = (
        reference, document, trail, reason, entry_suffix, count, due, retention_ms, request, empty_answer,
        delay_ms, b"",
    )  # fmt: skip
    return SCRIPTS["outbox_schedule"], (bucket.message(reference), bucket.scheduled), arguments


def cancel(*, contact: str, reference: str, entry_suffix: bytes) -> Call:
    bucket = bucket_of(contact)
    keys = (bucket.message(reference), bucket.outbox, bucket.scheduled)
    return SCRIPTS["outbox_cancel"], keys, (reference, entry_suffix)


def start_conversation(
    *, conversation: bytes, state: bytes, valid_ms: int, ttl_ms: int, timer: bytes
) -> Call:
    return SCRIPTS["start_conversation"], (conversation,), (state, valid_ms, ttl_ms, timer)


def lease_due(
    bucket: Bucket, *, lease_ms: int, count: int, max_wait_ms: int, retention_ms: int, event_count: int
) -> Call:
    """Lease what is due in a bucket's outbox, and events."""
    keys = (bucket.outbox, bucket.scheduled, bucket.journal, bucket.events)
    arguments = (lease_ms, count, max_wait_ms, bucket.message(""), retention_ms, event_count)
    return SCRIPTS["outbox_lease_due"], keys, arguments


def claim_event(*, contact: str, reference: str, entry: bytes, lease_ms: int) -> Call:
    bucket = bucket_of(contact)
    return SCRIPTS["event_claim"], (bucket.message(reference), bucket.events), (entry, lease_ms)


def finish_event(
    *,
    contact: str,
    entry: bytes,
    reference: str,
    cause: bytes,
    done: str,
    delay_ms: int | bytes,
    retention_ms: int,
) -> Call:
    """Delete an event that was handled, or have it handled again, or make a dead letter of it."""
    bucket = bucket_of(contact)
    keys = (bucket.message(reference), bucket.events, bucket.journal, bucket.dead_letters)
    return SCRIPTS["event_finish"], keys, (entry, reference, cause, done, delay_ms, retention_ms)


def expire_conversation(
    *, scope: str, contact: str, timer: bytes, expected: bytes, raised: RaisedEvent
) -> Call:
    """Return the state of a conversation that has expired; with ``expected`` end it and raise the event."""
    bucket = bucket_of(contact)
    keys = (bucket.conversation(scope, contact), bucket.events)
    return SCRIPTS["expire_conversation"], keys, (timer, expected, *raised)


def claim(
    *,
    scope: str,
    contact: str,
    entry: bytes,
    reference: str,
    kind: str,
    owner: bytes,
    lease_ms: int,
    max_attempts: int,
    max_age_ms: int,
    retention_ms: int,
    in_conversation: bool = False,
) -> Call:
    """Claim work of the outbox whose worker is gone.

    With ``in_conversation`` the contact's earlier messages are answered first.
    """
    bucket = bucket_of(contact)
    keys = (
        bucket.message(reference),
        bucket.outbox,
        bucket.contact(scope, contact),
        bucket.dead_letters,
    )
    arguments = (entry, reference, kind, owner, lease_ms, max_attempts, max_age_ms, retention_ms)
    if in_conversation:
        conversation = bucket.conversation(scope, contact)
        return SCRIPTS["outbox_claim_in_conversation"], (*keys, conversation), arguments
    return SCRIPTS["outbox_claim"], keys, arguments


def release(*, contact: str, reference: str, entry: bytes, owner: bytes, kind: str) -> Call:
    bucket = bucket_of(contact)
    return SCRIPTS["outbox_release"], (bucket.message(reference), bucket.outbox), (entry, owner, kind)


def mark_sending(
    *,
    scope: str,
    contact: str,
    entry: bytes,
    reference: str,
    part: str,
    document_field: str,
    max_age_ms: int,
    sending_ms: int,
    retention_ms: int,
    mark: str,
    lease_ms: int,
    part_before: str,
) -> Call:
    bucket = bucket_of(contact)
    receipt_prefix = bucket.receipt(f"{reference.partition('/')[0]}/")
    keys = (
        bucket.message(reference),
        bucket.outbox,
        bucket.contact(scope, contact),
        bucket.scheduled,
        bucket.dead_letters,
    )
    arguments = (
        entry, reference, part, document_field, max_age_ms, sending_ms, retention_ms, receipt_prefix, mark,
        lease_ms, part_before,
    )  # fmt: skip
    return SCRIPTS["outbox_mark_sending"], keys, arguments


def postpone(
    *, contact: str, reference: str, entry: bytes, part: str, delay_ms: int, mark: str, due: int | bytes = b""
) -> Call:
    bucket = bucket_of(contact)
    keys = (bucket.message(reference), bucket.outbox, bucket.scheduled)
    return SCRIPTS["outbox_postpone"], keys, (entry, part, delay_ms, mark, due)


def record_result(
    *,
    contact: str,
    entry: bytes,
    reference: str,
    part: str,
    send: str,
    sid: str,
    reply_reference: str,
    retention_ms: int,
    cause: bytes,
    resend_entry: bytes,
    resend_part: str,
    resend: str,
) -> Call:
    bucket = bucket_of(contact)
    keys = (bucket.message(reference), bucket.outbox, bucket.dead_letters)
    arguments = (
        entry, reference, part, send, sid, reply_reference, retention_ms, cause, resend_entry, resend_part,
        resend,
    )  # fmt: skip
    return SCRIPTS["outbox_record_result"], keys, arguments


def restore(
    *,
    message: bytes,
    outbox: bytes,
    dead_letters: bytes,
    entry: Argument,
    reference: Argument,
    part: Argument,
    send: Argument,
    sid: Argument,
    reply_reference: Argument,
    retention_ms: Argument,
    cause: Argument,
    due_ms: Argument,
) -> Call:
    arguments = (entry, reference, part, send, sid, reply_reference, retention_ms, cause, due_ms)
    return SCRIPTS["outbox_restore"], (message, outbox, dead_letters), arguments
