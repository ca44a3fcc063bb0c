"""What is erased at Twilio now, what is tried again, and what the receipt contains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
import redis

from sms_router.routing.history.erasure_receipts import ErasureReceipt, ErasureReceipts, ErasureTask
from sms_router.store.keys import ERASURES_LOCK, ERASURES_PENDING
from sms_router.twilio.message_log import ErasureResult, MessageLog
from sms_router.twilio.rest import ApiError, ApiFailure, FailureKind

ACCOUNT = "AC" + "1" * 32
DAY = 86_400
DRAFT = ErasureReceipt("", 0, "op", "+1415•••0123", {"messages": 2}, {"opt_outs": 1}, "deleted")
DOWN = ApiError(ApiFailure(FailureKind.UNAVAILABLE, None, None, "Twilio's API did not respond in time"))


class FakeLog:
    """Twilio's log, as far as erasure goes: one result after the other."""

    def __init__(self, *results: ErasureResult | ApiError) -> None:
        self._results = iter(results)
        self.keeps_record: list[bool] = []

    def erase(self, sid: str, *, keep_record: bool) -> ErasureResult:
        assert sid == "SM1"
        self.keeps_record.append(keep_record)
        result = next(self._results)
        if isinstance(result, ApiError):
            raise result
        return result


@pytest.fixture
def receipts(valkey: redis.Redis) -> Iterator[ErasureReceipts]:
    yield ErasureReceipts(valkey, 1461)


def make_due(valkey: redis.Redis, days_ago: int = 0) -> None:
    """Make what is pending due, and as if it had been tried first so many days ago."""
    for line, _ in cast("list[tuple[bytes, float]]", valkey.zscan(ERASURES_PENDING)[1]):
        *others, since = line.decode().split(" ")
        valkey.zrem(ERASURES_PENDING, line)
        valkey.zadd(ERASURES_PENDING, {" ".join([*others, str(int(since) - days_ago * DAY)]): 1})
    valkey.delete(ERASURES_LOCK)


@pytest.mark.parametrize(
    ("results", "shown"),
    [
        ([ErasureResult.DELETED], ["deleted"]),
        ([ErasureResult.GONE], ["not there"]),
        ([ErasureResult.NOT_FINAL, ErasureResult.NOT_FINAL, ErasureResult.DELETED],
         ["not final yet", "not final yet", "deleted"]),
        ([DOWN, ErasureResult.DELETED], ["failed: Twilio's API did not respond in time", "deleted"]),
    ],
)  # fmt: skip
def test_a_message_is_tried_until_it_is_erased(
    receipts: ErasureReceipts,
    valkey: redis.Redis,
    valkey_url: str,
    results: list[ErasureResult | ApiError],
    shown: list[str],
) -> None:
    receipt, pending = receipts.write(DRAFT, {ACCOUNT: ["SM1"]}, ErasureResult.DELETED)
    log = cast("MessageLog", FakeLog(*results))
    task = ErasureTask(valkey_url, lambda account: log if account == ACCOUNT else None, 1461)
    assert task.erase_due() == 0, "the command itself erases first"
    for attempt, result in enumerate(shown):
        if attempt == 0:
            receipts.erase(pending[0], log)
        else:
            make_due(valkey)
            assert task.erase_due() == 1
        stored = receipts.get(receipt.receipt_id)
        assert stored is not None
        assert stored.results == {"SM1": result}
    assert valkey.zcard(ERASURES_PENDING) == 0
    assert [one.removed for one in receipts.newest()] == [{"messages": 2}]


def test_a_message_that_is_never_final_is_recorded_as_failed_after_fifteen_days(
    receipts: ErasureReceipts, valkey: redis.Redis, valkey_url: str
) -> None:
    receipt, _ = receipts.write(DRAFT, {ACCOUNT: ["SM1"]}, ErasureResult.REDACTED)
    log = FakeLog(ErasureResult.NOT_FINAL, ErasureResult.NOT_FINAL)
    task = ErasureTask(valkey_url, lambda _: cast("MessageLog", log), 1461)
    for days in (14, 2):
        make_due(valkey, days)
        assert task.erase_due() == 1
    stored = receipts.get(receipt.receipt_id)
    assert stored is not None
    assert stored.results == {"SM1": "given up: not final yet"}
    assert log.keeps_record == [True, True]
    assert valkey.zcard(ERASURES_PENDING) == 0
