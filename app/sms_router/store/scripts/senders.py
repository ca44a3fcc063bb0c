"""The calls of the scripts for what workers share of senders and pending numbers; redis-py runs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sms_router.store.connection import Argument
from sms_router.store.keys import (
    CHECKLISTS,
    CHECKLISTS_VERSION,
    POOLS_CHANNEL,
    SENDER_USAGE,
    SENDERS_LAST_USED,
    TEXTED,
    PoolKeys,
)
from sms_router.store.scripts.loader import SCRIPTS, Call


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
    """Store a hash again that Redis has lost."""
    arguments: tuple[Argument, ...] = (version, *(part for field in fields.items() for part in field))
    return SCRIPTS["restore_hash"], (hash_key, hash_version), arguments


def replace_checklist(*, number: str, expected: bytes, checklist: bytes, is_finished: str) -> Call:
    """Replace the checklist of a number, if it is still the expected one."""
    keys = (CHECKLISTS, TEXTED, CHECKLISTS_VERSION)
    return SCRIPTS["replace_checklist"], keys, (number, expected, checklist, is_finished)


def mark_texted(*, number: str, texted_at: float) -> Call:
    """Store when a pending number was first texted."""
    keys = (CHECKLISTS, TEXTED, CHECKLISTS_VERSION)
    return SCRIPTS["mark_texted"], keys, (number, str(texted_at))
