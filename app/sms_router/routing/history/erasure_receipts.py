"""Receipts of erasures, and what is still to be erased at Twilio.

Twilio refuses to erase a message before it is final, which may take 14 days (facts 11). Until then one of the
routers tries it once an hour. A receipt has the sids of messages, and no whole number.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple, cast
from uuid import uuid4

import redis

from sms_router.store.keys import ERASURE_RECEIPTS, ERASURES_LOCK, ERASURES_PENDING, erasure_receipt
from sms_router.store.redis_py import CLIENT_ERRORS, sync_client
from sms_router.store.server_clock import server_time
from sms_router.tasks import PeriodicTask
from sms_router.twilio.message_log import ErasureResult, MessageLog
from sms_router.twilio.rest import ApiError

log = logging.getLogger("sms_router.erasure")

RETRY_INTERVAL = 3600.0
"""Seconds until a message that is not final is tried again."""

LEASE = 600.0
"""Seconds for which others leave a message to the one that tries it."""

MAX_AGE = 15 * 86_400.0
"""Seconds after which a message is given up: a day more than Twilio needs to make it final."""

POLL_INTERVAL = 60.0
BATCH_SIZE = 50

PENDING = "pending"
"""The result of a message that was not tried yet."""


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """What was erased, and where."""

    receipt_id: str
    at: float
    """Seconds since the epoch."""
    who: str
    number: str
    """Masked."""
    removed: Mapping[str, int]
    """In the router's Redis, by kind."""
    kept: Mapping[str, int]
    twilio: str
    """``deleted``, ``text and media deleted``, or empty where nothing was requested of Twilio."""
    results: Mapping[str, str] = field(default_factory=dict)
    """What became of each message at Twilio, by its sid."""


class PendingMessage(NamedTuple):
    """A message that is to be erased at Twilio."""

    receipt_id: str
    mode: ErasureResult
    account: str
    sid: str
    since: int
    """Seconds since the epoch."""

    @classmethod
    def parse(cls, line: bytes) -> PendingMessage:
        receipt_id, mode, account, sid, since = line.decode().split(" ")
        return cls(receipt_id, ErasureResult[mode], account, sid, int(since))

    def __str__(self) -> str:
        """Return the line that `parse` reads."""
        return f"{self.receipt_id} {self.mode.name} {self.account} {self.sid} {self.since}"


class ErasureReceipts:
    """The receipts in Redis, each for ``retention_days``; every method blocks."""

    def __init__(self, client: redis.Redis, retention_days: float) -> None:
        self._client = client
        self._retention = int(retention_days * 86_400)

    def write(
        self, receipt: ErasureReceipt, sids: Mapping[str, Sequence[str]], mode: ErasureResult
    ) -> tuple[ErasureReceipt, list[PendingMessage]]:
        """Store a receipt under a new id, with the messages that the caller erases now, by account.

        What the caller leaves undone is erased by a router.
        """
        now = server_time(self._client)
        receipt = replace(receipt, receipt_id=uuid4().hex[:12], at=now)
        pending = [
            PendingMessage(receipt.receipt_id, mode, account, sid, int(now))
            for account, found in sids.items()
            for sid in found
        ]
        key, document = erasure_receipt(receipt.receipt_id), asdict(receipt)
        del document["results"]
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hset(key, "document", json.dumps(document))
        pipeline.expire(key, self._retention)
        pipeline.zadd(ERASURE_RECEIPTS, {receipt.receipt_id: now})
        pipeline.zremrangebyscore(ERASURE_RECEIPTS, 0, now - self._retention)
        for message in pending:
            pipeline.hset(key, message.sid, PENDING)
            pipeline.zadd(ERASURES_PENDING, {str(message): now + LEASE})
        pipeline.execute()
        return receipt, pending

    def newest(self) -> list[ErasureReceipt]:
        ids = cast("list[bytes]", self._client.zrevrange(ERASURE_RECEIPTS, 0, -1))
        found = (self.get(receipt_id.decode()) for receipt_id in ids)
        return [receipt for receipt in found if receipt is not None]

    def get(self, receipt_id: str) -> ErasureReceipt | None:
        stored = cast("dict[bytes, bytes]", self._client.hgetall(erasure_receipt(receipt_id)))
        if b"document" not in stored:
            return None
        results = {sid.decode(): result.decode() for sid, result in stored.items() if sid != b"document"}
        return ErasureReceipt(**json.loads(stored[b"document"]), results=results)

    def lease_due(self) -> list[PendingMessage]:
        """Return some messages that are to be tried now."""
        now = server_time(self._client)
        due = cast("list[bytes]", self._client.zrangebyscore(ERASURES_PENDING, 0, now, 0, BATCH_SIZE))
        if due:
            self._client.zadd(ERASURES_PENDING, dict.fromkeys(due, now + LEASE), xx=True)
        return [PendingMessage.parse(line) for line in due]

    def erase(self, message: PendingMessage, twilio: MessageLog) -> str:
        """Erase a message at Twilio, or have it tried again; return the result."""
        keep_record = message.mode is ErasureResult.REDACTED
        try:
            result = outcome = twilio.erase(message.sid, keep_record=keep_record).value
        except ApiError as error:
            result, outcome = f"failed: {error}", ""
        now = server_time(self._client)
        is_done = outcome not in ("", ErasureResult.NOT_FINAL)
        if not is_done and now - message.since > MAX_AGE:
            is_done, result = True, f"given up: {result}"
            log.error("the message %s was not erased at Twilio: %s", message.sid, result)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hset(erasure_receipt(message.receipt_id), message.sid, result)
        if is_done:
            pipeline.zrem(ERASURES_PENDING, str(message))
        else:
            pipeline.zadd(ERASURES_PENDING, {str(message): now + RETRY_INTERVAL}, xx=True)
        pipeline.execute()
        return result


class ErasureTask(PeriodicTask):
    """Erases at Twilio what was not final when a contact was erased; one in each worker.

    ``log_of`` returns the message log of an account; None where the account is not configured.
    """

    def __init__(
        self, redis_url: str, log_of: Callable[[str], MessageLog | None], retention_days: float
    ) -> None:
        super().__init__("erasures", POLL_INTERVAL, self._poll, wait_first=True)
        self._redis_url = redis_url
        self._log_of = log_of
        self._retention_days = retention_days

    async def _poll(self) -> None:
        try:
            await asyncio.to_thread(self.erase_due)
        except CLIENT_ERRORS as error:
            log.warning("nothing is erased at Twilio now: Redis failed (%s)", type(error).__name__)

    def erase_due(self) -> int:
        """Try what is due; return how many messages were tried. It blocks."""
        with sync_client(self._redis_url, attempts=2) as client:
            if not client.set(ERASURES_LOCK, b"1", nx=True, px=int(POLL_INTERVAL * 670)):
                return 0  # another worker does it
            receipts, tried = ErasureReceipts(client, self._retention_days), 0
            for message in receipts.lease_due():
                twilio = self._log_of(message.account)
                if twilio is not None:
                    receipts.erase(message, twilio)
                    tried += 1
            return tried
