"""Messages a page at a time, over the journals of all buckets."""

from __future__ import annotations

import pytest
import redis

from sms_router.routing.history.paging import Cursor, RecordPage
from sms_router.routing.history.reader import AT_ONCE, HistoryReader
from sms_router.store.keys import ALL_BUCKETS, bucket_of
from tests.routing.messages import ACCOUNT

MOMENTS = (5, 5, 5, 6, 6, 7)
BUCKETS = (0, 1, 2, 40, 63)


@pytest.fixture
def references(valkey: redis.Redis) -> list[str]:
    """Write entries into several buckets, many of them at the same moment; return them newest first."""
    written = []
    for moment in dict.fromkeys(MOMENTS):
        for sequence in range(MOMENTS.count(moment)):
            for number in BUCKETS:
                reference = f"{ACCOUNT}/SM{moment}-{sequence}-{number}"
                for stream in (ALL_BUCKETS[number].journal, ALL_BUCKETS[number].dead_letters):
                    fields = {"message": reference, "cause": "boom"}
                    valkey.xadd(stream, fields, id=f"{moment}-{sequence}")  # type: ignore[arg-type]
                written.append(((moment, sequence, -number), reference))
    return [reference for _, reference in sorted(written, reverse=True)]


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 29, 30, 31])
def test_pages_follow_each_other_without_a_gap_or_a_repetition(
    valkey: redis.Redis, references: list[str], limit: int, failed: bool
) -> None:
    history = HistoryReader(valkey)

    def read(before: Cursor | None) -> RecordPage:
        return history.failed_page(limit, before) if failed else history.page(limit, before)

    page, seen = read(None), []
    while True:
        assert len(page.episodes) <= limit
        seen += [episode.reference for episode in page.episodes]
        if page.older is None:
            break
        page = read(Cursor.parse(str(page.older)))
    assert seen == references


def test_a_dead_letter_with_several_causes_is_once_on_a_page(valkey: redis.Redis) -> None:
    bucket = ALL_BUCKETS[3]
    for moment, name in enumerate(("SM1", "SM2", "SM1", "SM1"), start=1):
        fields = {"message": f"{ACCOUNT}/{name}", "cause": f"cause {moment}"}
        valkey.xadd(bucket.dead_letters, fields, id=f"{moment}-0")  # type: ignore[arg-type]
    history = HistoryReader(valkey)
    page = history.failed_page(1)
    assert [(each.sid, each.causes[0].text) for each in page.episodes] == [("SM1", "cause 4")]
    assert [each.sid for each in history.failed_page(1, page.older).episodes] == ["SM2"]
    assert history.count_failed() == 4


@pytest.mark.parametrize("text", ["", "1-2", "1-2-3-4", "a-b-c", "-1-2-3", "1" * 99 + "-1-1", "1-1-1\n"])
def test_what_is_no_position_is_none(text: str) -> None:
    assert Cursor.parse(text) is None


def test_somebodys_messages_are_theirs_alone(valkey: redis.Redis) -> None:
    person = "+14155550123"
    bucket = bucket_of(person)
    others = [f"+1415{number:07}" for number in range(2000)]
    neighbour = next(each for each in others if bucket_of(each) is bucket and each != person)
    for number, sender in enumerate((person, neighbour, person), start=1):
        sid = f"SM{number:032x}"
        reference = f"{ACCOUNT}/{sid}"
        request = f"MessageSid={sid}&AccountSid={ACCOUNT}&From=%2B{sender[1:]}&To=12345&Body=Hi"
        valkey.hset(bucket.message(reference), "request", request)
        valkey.xadd(bucket.journal, {"message": reference}, id=f"{number}-0")
    for limit, numbers in ((10, [3, 1]), (1, [3])):
        found = HistoryReader(valkey).for_contact(person, limit)
        assert [int(episode.sid[2:], 16) for episode in found] == numbers


def test_somebodys_older_messages_are_found_as_deep_as_is_asked(valkey: redis.Redis) -> None:
    person, other = "+14155550123", "+14155550124"
    bucket = bucket_of(person)
    pipeline = valkey.pipeline()
    for number in range(1, 2 * AT_ONCE + 2):
        sid = f"SM{number:032x}"
        sender = person if number in {1, AT_ONCE, 2 * AT_ONCE} else other
        request = f"MessageSid={sid}&AccountSid={ACCOUNT}&From=%2B{sender[1:]}&To=12345&Body=Hi"
        pipeline.hset(bucket.message(f"{ACCOUNT}/{sid}"), "request", request)
        pipeline.xadd(bucket.journal, {"message": f"{ACCOUNT}/{sid}"}, id=f"{number}-0")
    pipeline.execute()
    for depth, numbers in ((AT_ONCE, [2 * AT_ONCE]), (10**6, [2 * AT_ONCE, AT_ONCE, 1])):
        found = HistoryReader(valkey).for_contact(person, 10, depth)
        assert [int(episode.sid[2:], 16) for episode in found] == numbers
