"""Calls of scripts as the tests of the store make them."""

from __future__ import annotations

from sms_router.store import scripts
from sms_router.store.keys import Bucket, bucket_of

CONTACTS = {bucket_of(contact): contact for contact in (f"+1415555{number:04}" for number in range(2000))}
"""Somebody of each bucket."""

OWNER = b"owner"


def claim(bucket: Bucket, reference: str = "AC/SM", scope: str = "MG") -> scripts.Call:
    """Claim a message of a contact in the bucket."""
    return scripts.claim(
        scope=scope,
        contact=CONTACTS[bucket],
        owner=OWNER,
        lease_ms=3000,
        retention_ms=60_000,
        reference=reference,
        request=b"From=x",
        is_fallback=b"0",
    )


def note(bucket: Bucket, number: int, reference: str = "AC/SM") -> scripts.Call:
    """Annotate a message, each time in another field."""
    return scripts.annotate(
        contact=CONTACTS[bucket],
        reference=reference,
        field=f"field{number}",
        text=b"text%d" % number,
        retention_ms=60_000,
        cause=b"",
    )


def commit(bucket: Bucket, reference: str) -> scripts.Call:
    """Commit an answer with its request, as the spool stores it."""
    call = scripts.commit(
        contact=CONTACTS[bucket],
        reference=reference,
        answer=b"<Response/>",
        outcome="reply",
        trail=b"{}",
        retention_ms=60_000,
        cause=b"",
        work=b"",
        owner=b"",
        lease_ms=3000,
        counter=None,
    )
    return scripts.with_request(call, request=b"From=x", received=1)
