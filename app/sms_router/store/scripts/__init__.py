"""The Lua scripts, and one function for each that names its keys and arguments.

A script is one atomic step. Its function returns what `Store.run` takes: the script, its keys, and its
arguments in the order of the Lua file's header; what they mean is explained there. Durations are in
milliseconds (``_ms``), moments in milliseconds since the epoch. ``contact`` is the address that a
person texts from, ``scope`` a Service's sid or one of our numbers outside Services, ``reference`` a message's
``AccountSid/MessageSid``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sms_router.store.connection import Argument
from sms_router.store.keys import (
    ALL_BUCKETS,
    ANSWERED_CHANNEL,
    CHECKLISTS,
    CHECKLISTS_VERSION,
    CONSENTS_CHANNEL,
    CONSOLE_SESSIONS,
    POOLS_CHANNEL,
    RULES_CHANNEL,
    RULES_CURRENT,
    RULES_DESCRIPTIONS,
    RULES_DOCUMENTS,
    SCHEMA,
    SENDER_USAGE,
    SENDERS_LAST_USED,
    SUSPECTED,
    TEXTED,
    Bucket,
    PoolKeys,
    bucket_of,
)
from sms_router.store.scripts.loader import SCRIPTS, Call, Script

__all__ = ["SCRIPTS", "Call", "Script"]

ReplyCount = tuple[bytes, bytes, bytes, bytes, bytes]
"""How a reply is counted: the key, then ``max_replies``, ``quiet_ms``, ``weight`` and ``text``."""

RaisedEvent = tuple[bytes, bytes, int]
"""An event for the team's handlers: its entry, its record, and for how many ms the record is stored."""

NO_EVENT: RaisedEvent = (b"", b"", 0)

_UNCOUNTED = (b"", b"", b"", b"")

_CLAIM, _CLAIM_PREPARED, _COMMIT = (SCRIPTS[name] for name in ("claim", "claim_prepared", "commit"))

# --- The inbox: a message from its claim to its answer ---


def claim(
    *,
    scope: str,
    contact: str,
    owner: bytes,
    lease_ms: int | bytes,
    retention_ms: int | bytes,
    reference: str,
    request: bytes,
    is_fallback: bytes,
    arrived: bytes = b"",
    in_conversation: bool = False,
) -> Call:
    """Claim a message and journal it, or return who has it or its answer.

    With ``in_conversation`` the contact's earlier messages are answered first.
    """
    bucket = bucket_of(contact)
    arguments = (owner, lease_ms, retention_ms, reference.encode(), request, is_fallback, arrived)
    keys = (bucket.message(reference), bucket.journal, bucket.contact(scope, contact))
    if in_conversation:
        return SCRIPTS["claim_in_conversation"], (*keys, bucket.conversation(scope, contact)), arguments
    return _CLAIM, keys, arguments


def claim_prepared(
    claim: Call,
    *,
    answer: bytes,
    outcome: bytes,
    trail: bytes,
    counter: ReplyCount | None,
) -> Call:
    """Have a claim answer the message in the same step; without a ``counter`` that is not counted."""
    _, keys, arguments = claim
    counted = counter or (keys[0], *_UNCOUNTED)
    # Unpacking (RUF005) would take twice as long.
    return _CLAIM_PREPARED, keys + counted[:1], arguments + (answer, outcome, trail) + counted[1:]  # noqa: RUF005


def commit(
    *,
    contact: str,
    reference: str,
    answer: bytes,
    outcome: str,
    trail: bytes,
    retention_ms: int | bytes,
    cause: bytes,
    work: bytes,
    owner: bytes,
    lease_ms: int | bytes,
    counter: ReplyCount | None,
) -> Call:
    """Commit the answer to a message; without a ``counter`` it is not counted."""
    bucket = bucket_of(contact)
    message = bucket.message(reference)
    counted = counter or (message, *_UNCOUNTED)
    keys = (message, bucket.journal, bucket.dead_letters, bucket.outbox, counted[0])
    arguments = (
        b"", b"", b"", *counted[1:], reference, answer, outcome, trail, retention_ms, cause,
        ANSWERED_CHANNEL, work, owner, lease_ms,
    )  # fmt: skip
    return _COMMIT, keys, arguments


def with_request(commit: Call, *, request: bytes, received: int) -> Call:
    """Have a commit store the request of a message that Redis has lost."""
    script, keys, arguments = commit
    return script, keys, (request, received, *arguments[2:])


def spooled(commit: Call, *, request: bytes, received: int, given: int) -> Call:
    """Return a commit to be run when Redis is back, of an answer that is given now and not counted."""
    script, keys, arguments = commit
    return script, keys, (request, received, given, *_UNCOUNTED, *arguments[7:])


def update_conversation(
    call: Call, *, conversation: bytes, state: bytes, valid_ms: int, ttl_ms: int, timer: bytes
) -> Call:
    """Have a commit, or the outbox, store what the message makes of the contact's conversation too."""
    script, keys, arguments = call
    return (
        SCRIPTS[f"{script.name}_in_conversation"],
        (*keys, conversation),
        (*arguments, state, valid_ms, ttl_ms, timer),
    )


def count_reply(*, counter: ReplyCount) -> Call:
    return SCRIPTS["count_reply"], counter[:1], counter[1:]


def release(
    *,
    contact: str,
    reference: str,
    trail: bytes,
    retention_ms: int | bytes,
    cause: bytes,
    request: bytes,
    received: int,
) -> Call:
    bucket = bucket_of(contact)
    keys = (bucket.message(reference), bucket.journal, bucket.dead_letters)
    return (
        SCRIPTS["release"],
        keys,
        (reference, trail, retention_ms, cause, ANSWERED_CHANNEL, request, received),
    )


def renew_lease(*, message: bytes, owner: bytes, lease_ms: int) -> Call:
    return SCRIPTS["renew_lease"], (message,), (owner, lease_ms)


def annotate(
    *, contact: str, reference: str, field: str, text: bytes, retention_ms: int | bytes, cause: bytes
) -> Call:
    bucket = bucket_of(contact)
    keys = (bucket.message(reference), bucket.dead_letters)
    return SCRIPTS["annotate"], keys, (reference, field, text, retention_ms, cause)


def request_replay(
    *,
    scope: str,
    contact: str,
    reference: str,
    entry: bytes,
    late_entry: bytes,
    retention_ms: int | bytes,
    answer_timeout_ms: int,
    accept_unknown: str,
) -> Call:
    bucket = bucket_of(contact)
    keys = (bucket.message(reference), bucket.outbox, bucket.contact(scope, contact))
    return (
        SCRIPTS["request_replay"],
        keys,
        (entry, late_entry, retention_ms, answer_timeout_ms, accept_unknown),
    )


def remove_bodies(
    bucket: Bucket,
    *,
    body_retention_ms: int,
    count: int,
    empty_answer: bytes,
    kept_parameters: str,
    retention_ms: int | bytes,
) -> Call:
    return (
        SCRIPTS["remove_bodies"],
        (bucket.journal, bucket.body_retention_cursor),
        (body_retention_ms, count, bucket.message(""), empty_answer, kept_parameters, retention_ms),
    )


def record_abandoned(
    bucket: Bucket,
    *,
    abandoned_ms: int,
    count: int,
    retention_ms: int | bytes,
    cause: str,
    max_tries: int,
    max_age_ms: int,
) -> Call:
    return (
        SCRIPTS["record_abandoned"],
        (bucket.journal, bucket.dead_letters, bucket.abandoned_cursor),
        (abandoned_ms, count, bucket.message(""), retention_ms, cause, max_tries, max_age_ms),
    )


def journal_missed(
    *,
    contact: str,
    reference: str,
    request: bytes,
    received: int,
    retention_ms: int | bytes,
    cause: str,
    answer: bytes,
    outcome: str,
    trail: bytes,
    work: bytes,
) -> Call:
    """Journal a message of Twilio's log whose webhook never came; with an ``answer`` it is answered."""
    bucket = bucket_of(contact)
    keys = (bucket.message(reference), bucket.journal, bucket.dead_letters, bucket.outbox)
    arguments = (reference, request, received, retention_ms, cause, answer, outcome, trail, work)
    return SCRIPTS["journal_missed"], keys, arguments


# --- Contacts ---


def get_contact(*, scope: str, contact: str) -> Call:
    return SCRIPTS["get_contact"], (bucket_of(contact).contact(scope, contact),), ()


def change_consent(
    *,
    scope: str,
    contact: str,
    message: str | None,
    request: str,
    source: str,
    requested_at: int | None,
    ttl_ms: int,
    consent_ttl_ms: int,
    order: int | None = None,
    entry_id: str = "",
    entry: bytes = b"",
    raised: RaisedEvent = NO_EVENT,
) -> Call:
    """Put a contact on the opt-out list, or take them off it.

    ``message`` is the reference of the message that asks for it, whose time counts before ``requested_at``.
    ``order`` is the place among the contact's changes, by default the time (change_consent.lua); alone it is
    that of a router's copy.
    """
    bucket = bucket_of(contact)
    key = bucket.contact(scope, contact)
    keys = (
        key,
        bucket.consent(scope, contact),
        bucket.opt_outs,
        bucket.message(message) if message is not None else key,
        bucket.consents,
    )
    arguments = (
        request, source, order or requested_at or 0,
        "" if requested_at is None else requested_at, ttl_ms, consent_ttl_ms, f"{scope} {contact}",
        CONSENTS_CHANNEL, entry_id, entry, *raised,
    )  # fmt: skip
    return SCRIPTS["change_consent"], keys, arguments


def record_evidence(
    *, scope: str, contact: str, at: int, consent_ttl_ms: int, entry_id: str, entry: bytes
) -> Call:
    bucket = bucket_of(contact)
    keys = (bucket.contact(scope, contact), bucket.consent(scope, contact), bucket.consents)
    arguments = (at, consent_ttl_ms, f"{scope} {contact}", CONSENTS_CHANNEL, entry_id, entry)
    return SCRIPTS["record_evidence"], keys, arguments


def raise_event(*, contact: str, raised: RaisedEvent) -> Call:
    return SCRIPTS["raise_event"], (bucket_of(contact).events,), raised


def change_suspected(*, suspect: str, entry: str, max_size: int) -> Call:
    """List a contact whose text may be meant as an opt-out, or remove one, and get how many are listed."""
    return SCRIPTS["change_suspected"], (SUSPECTED,), (suspect, entry, max_size)


def read_opt_outs(bucket: Bucket, *, first: int, count: int) -> Call:
    """Get the epoch of a bucket's opt-outs, and some of them, the newest first."""
    return SCRIPTS["read_opt_outs"], (bucket.opt_outs, bucket.consent_epoch), (first, count)


def mark_opt_outs(*, mark_key: bytes, mark: str, ttl_ms: int | str) -> Call:
    """Set a mark about the opt-outs, with ``ttl_ms`` "" for good, unless there is one."""
    return SCRIPTS["mark_opt_outs"], (mark_key,), (mark, ttl_ms)


def record_receipt(
    *,
    scope: str,
    contact: str,
    receipt: str,
    message: str | None,
    status: str,
    rank: int,
    error_code: str,
    sender: str,
    reply: str,
    retention_ms: int | bytes,
    sid: str,
    evidence: str,
    received_at: int,
    contact_ttl_ms: int,
    max_failures: int,
    has_alternatives: str,
    resend_part: str,
    resend_entry: bytes,
    reason: str,
    failure_threshold: int,
    max_failure_age_ms: int,
    cause: str,
    raised: RaisedEvent = NO_EVENT,
) -> Call:
    """Store the status of an outgoing message, and what it is evidence of.

    ``receipt`` is the reference of the outgoing message, ``message`` that of the message which it answers.
    """
    bucket = bucket_of(contact)
    key = bucket.receipt(receipt)
    keys = (
        key,
        bucket.message(message) if message is not None else key,
        bucket.contact(scope, contact),
        bucket.last_delivery(scope, contact),
        bucket.outbox,
        bucket.dead_letters,
    )
    arguments = (
        status, rank, error_code, sender, reply, retention_ms, sid, evidence, received_at, contact_ttl_ms,
        max_failures, has_alternatives, resend_part, resend_entry, reason, failure_threshold,
        max_failure_age_ms, message or "", cause, *raised[:2],
    )  # fmt: skip
    return SCRIPTS["record_receipt"], keys, arguments


def set_sticky_sender(*, scope: str, contact: str, sender: str, chosen_at: int, ttl_ms: int) -> Call:
    keys = (bucket_of(contact).contact(scope, contact),)
    return SCRIPTS["set_sticky_sender"], keys, (sender, chosen_at, ttl_ms)


def store_profile(*, scope: str, contact: str, changes: str, max_size: int, ttl_ms: int) -> Call:
    return (
        SCRIPTS["store_profile"],
        (bucket_of(contact).contact(scope, contact),),
        (changes, max_size, ttl_ms),
    )


def load_cookies(*, contact: str, number: str, ttl_ms: int) -> Call:
    return SCRIPTS["load_cookies"], (bucket_of(contact).cookies(contact, number),), (ttl_ms,)


def find_denied(*, probe: bytes, commands: Iterable[str]) -> Call:
    """Return which commands the user may not run; ``probe`` is a key that may be written."""
    return SCRIPTS["find_denied"], (probe,), tuple(commands)


def save_cookies(*, contact: str, number: str, jar: bytes, ttl_ms: int) -> Call:
    return SCRIPTS["save_cookies"], (bucket_of(contact).cookies(contact, number),), (jar, ttl_ms)


# --- What workers share of senders, pending numbers and rules; redis-py runs these ---


def store_snapshot(*, service_sid: str, version: int, read_at: float, changes: int, document: bytes) -> Call:
    """Store a newer snapshot of a Service's pool; an empty ``document`` confirms the stored one."""
    pool = PoolKeys.of(service_sid)
    arguments = (version, str(read_at), changes, document, POOLS_CHANNEL, service_sid)
    return SCRIPTS["store_snapshot"], (pool.snapshot, pool.version, pool.change_count), arguments


def sync_rates(
    *, since: str, max_senders: int, day_offset_s: int, sent: Iterable[tuple[str, int, int]]
) -> Call:
    """Add what one worker has sent, and get what all workers have.

    ``sent`` has for each sender its address, the milliseconds of work, and the segments.
    """
    parts: Iterable[Argument] = (part for sender in sent for part in sender)
    arguments = (since, max_senders, day_offset_s, *parts)
    return SCRIPTS["sync_rates"], (SENDERS_LAST_USED, SENDER_USAGE), arguments


def restore_hash(
    *, hash_key: bytes, hash_version: bytes, version: int, fields: Mapping[bytes, bytes]
) -> Call:
    arguments: tuple[Argument, ...] = (version, *(part for field in fields.items() for part in field))
    return SCRIPTS["restore_hash"], (hash_key, hash_version), arguments


def replace_checklist(*, number: str, expected: bytes, checklist: bytes, is_finished: str) -> Call:
    keys = (CHECKLISTS, TEXTED, CHECKLISTS_VERSION)
    return SCRIPTS["replace_checklist"], keys, (number, expected, checklist, is_finished)


def mark_texted(*, number: str, texted_at: float) -> Call:
    keys = (CHECKLISTS, TEXTED, CHECKLISTS_VERSION)
    return SCRIPTS["mark_texted"], keys, (number, str(texted_at))


def publish_rules(
    *, expected: str, digest: str, description: bytes, document: bytes, max_versions: int
) -> Call:
    """Make a document the current version of the rules, if ``expected`` is still the current one."""
    arguments = (expected, digest, description, document, max_versions, RULES_CHANNEL)
    return SCRIPTS["publish_rules"], (RULES_CURRENT, RULES_DESCRIPTIONS, RULES_DOCUMENTS), arguments


# --- The rest ---


def publish(*, key: bytes, channel: str, payload: str) -> Call:
    """Publish to all workers, by the node that holds a key."""
    return SCRIPTS["publish"], (key,), (channel, payload)


def get_time() -> Call:
    return SCRIPTS["get_time"], (ALL_BUCKETS[0].probe,), ()


def check_schema(*, version: int | str) -> Call:
    """Store the version of the stored data, unless it is "" or one is stored, and get the stored one."""
    return SCRIPTS["check_schema"], (SCHEMA,), (version,)


def write_session(*, digest: str, description: str, now: int, ttl_ms: int) -> Call:
    """Store what is known of a session of the console; both times are of this worker, ``now`` in seconds."""
    return SCRIPTS["write_session"], (CONSOLE_SESSIONS,), (digest, description, now, ttl_ms)


def read_session(*, digest: str) -> Call:
    return SCRIPTS["read_session"], (CONSOLE_SESSIONS,), (digest,)
