"""Pages of messages over the journals of all buckets, and the messages of one contact."""

from __future__ import annotations

import pytest
import redis

from sms_router.routing.history.reader import HistoryReader, RecordPage
from sms_router.routing.history.streams import Cursor
from sms_router.store.keys import ALL_BUCKETS, bucket_of
from tests.routing.messages import ACCOUNT

BATCH = 200  # entries that the reader reads in one round trip

TIMES = (5, 5, 5, 6, 6, 7)
BUCKETS = (0, 1, 2, 40, 63)


@pytest.fixture
def references(valkey: redis.Redis) -> list[str]:
    """Write entries into several buckets, many of them at the same milliseconds; return them newest first."""
    entries = []
    for milliseconds in dict.fromkeys(TIMES):
        for sequence in range(TIMES.count(milliseconds)):
            for number in BUCKETS:
                reference = f"{ACCOUNT}/SM{milliseconds}-{sequence}-{number}"
                for stream in (ALL_BUCKETS[number].journal, ALL_BUCKETS[number].dead_letters):
                    fields = {"message": reference, "cause": "boom"}
                    valkey.xadd(stream, fields, id=f"{milliseconds}-{sequence}")  # type: ignore[arg-type]
                entries.append(((milliseconds, sequence, -number), reference))
    return [reference for _, reference in sorted(entries, reverse=True)]


@pytest.mark.parametrize("kind", ["all", "failed", "search"])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 29, 30, 31])
def test_pages_contain_every_message_once_and_in_order(
    valkey: redis.Redis, references: list[str], limit: int, kind: str
) -> None:
    history = HistoryReader(valkey)

    def read(before: Cursor | None) -> RecordPage:
        if kind == "search":
            return history.search(lambda _: True, limit, before)
        return history.failed_page(limit, before) if kind == "failed" else history.page(limit, before)

    page, pages = read(None), list[str]()
    while True:
        assert len(page.records) <= limit
        pages += [record.reference for record in page.records]
        if page.next_cursor is None:
            break
        page = read(Cursor.parse(str(page.next_cursor)))
    assert pages == references


def test_a_message_with_several_causes_is_once_on_a_page(valkey: redis.Redis) -> None:
    bucket = ALL_BUCKETS[3]
    for milliseconds, name in enumerate(("SM1", "SM2", "SM1", "SM1"), start=1):
        fields = {"message": f"{ACCOUNT}/{name}", "cause": f"cause {milliseconds}"}
        valkey.xadd(bucket.dead_letters, fields, id=f"{milliseconds}-0")  # type: ignore[arg-type]
    history = HistoryReader(valkey)
    page = history.failed_page(1)
    assert [(record.sid, record.causes[0].text) for record in page.records] == [("SM1", "cause 4")]
    assert [record.sid for record in history.failed_page(1, page.next_cursor).records] == ["SM2"]
    assert history.count_failed() == 4


@pytest.mark.parametrize("text", ["", "1-2", "1-2-3-4", "a-b-c", "-1-2-3", "1" * 99 + "-1-1", "1-1-1\n"])
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    assert Cursor.parse(text) is None


def test_the_messages_of_a_contact_leave_out_those_of_others_in_the_bucket(valkey: redis.Redis) -> None:
    contact = "+14155550123"
    bucket = bucket_of(contact)
    others = [f"+1415{number:07}" for number in range(2000)]
    neighbour = next(other for other in others if bucket_of(other) is bucket and other != contact)
    for number, sender in enumerate((contact, neighbour, contact), start=1):
        sid = f"SM{number:032x}"
        reference = f"{ACCOUNT}/{sid}"
        request = f"MessageSid={sid}&AccountSid={ACCOUNT}&From=%2B{sender[1:]}&To=12345&Body=Hi"
        valkey.hset(bucket.message(reference), "request", request)
        valkey.xadd(bucket.journal, {"message": reference}, id=f"{number}-0")
    for limit, numbers in ((10, [3, 1]), (1, [3])):
        records = HistoryReader(valkey).for_contact(contact, limit)
        assert [int(record.sid[2:], 16) for record in records] == numbers


def test_the_messages_of_a_contact_are_searched_to_the_given_depth(valkey: redis.Redis) -> None:
    contact, other = "+14155550123", "+14155550124"
    bucket = bucket_of(contact)
    pipeline = valkey.pipeline()
    for number in range(1, 2 * BATCH + 2):
        sid = f"SM{number:032x}"
        sender = contact if number in {1, BATCH, 2 * BATCH} else other
        request = f"MessageSid={sid}&AccountSid={ACCOUNT}&From=%2B{sender[1:]}&To=12345&Body=Hi"
        pipeline.hset(bucket.message(f"{ACCOUNT}/{sid}"), "request", request)
        pipeline.xadd(bucket.journal, {"message": f"{ACCOUNT}/{sid}"}, id=f"{number}-0")
    pipeline.execute()
    for depth, numbers in ((BATCH, [2 * BATCH]), (10**6, [2 * BATCH, BATCH, 1])):
        records = HistoryReader(valkey).for_contact(contact, 10, depth)
        assert [int(record.sid[2:], 16) for record in records] == numbers
