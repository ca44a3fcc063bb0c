from __future__ import annotations

from typing import Any

import pytest
from redis.crc import key_slot

from sms_router.store.keys import ALL_BUCKETS, bucket_of
from sms_router.store.slots import (
    SLOT_OF_BUCKET,
    Node,
    Redirection,
    RedirectKind,
    owners_of,
    parse_redirection,
)

REDIRECTIONS = [
    ("MOVED 3999 10.0.0.2:6381", Redirection(RedirectKind.MOVED, Node("10.0.0.2", 6381))),
    ("ASK 3999 redis-2.example.com:6381", Redirection(RedirectKind.ASK, Node("redis-2.example.com", 6381))),
    ("MOVED 3999 2001:db8::2:6381", Redirection(RedirectKind.MOVED, Node("2001:db8::2", 6381))),
    ("MOVED 3999 :6381", Redirection(RedirectKind.MOVED, Node("10.0.0.1", 6381))),
    ("TRYAGAIN Multiple keys request during rehashing of slot", Redirection(RedirectKind.TRYAGAIN)),
    ("CLUSTERDOWN Hash slot not served", None),
    ("ERR MOVED is a word", None),
    ("MOVED", None),
]

OWNERS: list[tuple[list[Any], dict[int, Node]]] = [
    (
        [[0, 5, [b"10.0.0.2", 1, b"id", []], [b"10.0.0.9", 9, b"replica"]], [6, 9, [b"10.0.0.3", 2]]],
        {0: Node("10.0.0.2", 1), 5: Node("10.0.0.2", 1), 6: Node("10.0.0.3", 2)},
    ),
    ([[5, 5, [b"", 7]], [6, 6, [None, 8]]], {5: Node("10.0.0.1", 7), 6: Node("10.0.0.1", 8)}),
    ([[7, 16383, [b"10.0.0.2", 1]]], {}),
    ([], {}),
]


@pytest.mark.parametrize(("error", "redirection"), REDIRECTIONS)
def test_an_error_has_a_redirection(error: str, redirection: Redirection | None) -> None:
    assert parse_redirection(error, "10.0.0.1") == redirection


@pytest.mark.parametrize(("answer", "owners"), OWNERS)
def test_slots_without_an_owner_are_left_out(answer: list[Any], owners: dict[int, Node]) -> None:
    assert owners_of([0, 5, 6], answer, "10.0.0.1") == owners


def test_each_bucket_has_a_slot_of_its_own() -> None:
    assert len(set(SLOT_OF_BUCKET)) == len(ALL_BUCKETS)
    for person in ("+14155550100", "12345", "whatsapp:+14155550100"):
        bucket = bucket_of(person)
        own = SLOT_OF_BUCKET[ALL_BUCKETS.index(bucket)]
        keys = (bucket.journal, bucket.probe, bucket.message("AC/SM{1}"), bucket.contact("MG", person))
        assert {key_slot(key) for key in keys} == {own}
