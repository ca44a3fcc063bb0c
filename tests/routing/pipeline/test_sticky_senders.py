"""A contact who got a reply from one of several equal numbers stays with it, before any receipt."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
import redis

from sms_router.routing.contacts.contact import parse_contact
from sms_router.routing.handler.reply import Reply
from sms_router.routing.pipeline import sticky_senders
from sms_router.routing.pipeline.composer import Composer
from sms_router.routing.pipeline.sticky_senders import StickySenders
from sms_router.senders.availability import Availability
from sms_router.senders.cordons import Cordons
from sms_router.senders.models import Capability, RecipientFacts, ReplyFrom, Sender, SenderKind
from sms_router.senders.pool import Pool
from sms_router.senders.rate_limits import RateLimiter, RateLimits
from sms_router.store.keys import bucket_of
from sms_router.store.scripts import set_sticky_sender
from tests.routing.messages import message
from tests.routing.workers import Worker, worker
from tests.senders.builders import FakeClock
from tests.store.private_valkey import PrivateValkey

MG = "MG" + "0a" * 16
DAY = 86_400_000
CONTACT = "+16465550123"
EQUALS = tuple(
    Sender(f"PN{number:032}", f"+1212555000{number}", SenderKind.LONG_CODE, "US", Capability.SMS)
    for number in range(4)
)


@pytest.fixture
async def one(valkey_url: str, tmp_path: Path) -> AsyncIterator[Worker]:
    async with worker(valkey_url, tmp_path) as running:
        yield running


def stored(valkey: redis.Redis, person: str = CONTACT) -> str | None:
    known: Any = valkey.hgetall(bucket_of(person).contact(MG, person))
    return parse_contact([part for pair in known.items() for part in pair]).last_sender


class StickySenderFixture:
    """A composer that chooses among equals, at a time that a test moves."""

    def __init__(self, one: Worker) -> None:
        self.clock = FakeClock()
        self.last = StickySenders(one.journal, lambda: DAY, self.clock)
        self.rates = RateLimiter(RateLimits(), self.clock)
        pool = Pool(MG, 1, EQUALS)
        self.composer = Composer(
            lambda *_: pool,
            {None: ReplyFrom.SHORT_CODE_FIRST},
            "",
            Availability(Cordons(self.clock), self.rates),
            self.last,
        )

    def answers(self, person: str = CONTACT, facts: RecipientFacts | None = None) -> str:
        """Return which number answers."""
        self.clock.now += 1
        incoming = message(sender=person, recipient="+19995550000", service=MG)
        composed = self.composer.compose(incoming, Reply("hello"), "A", *(() if facts is None else (facts,)))
        (sent,) = fromstring(composed.document).findall("Message")
        return sent.get("from") or ""


async def test_a_contact_stays_with_a_number_while_others_get_the_least_recently_used(one: Worker) -> None:
    fixture = StickySenderFixture(one)
    first = fixture.answers()
    others = Counter(fixture.answers(f"+1646555{number:04}") for number in range(40))
    assert fixture.answers() == first
    assert set(others) == {each.address for each in EQUALS}
    assert max(others.values()) - min(others.values()) <= 1
    await fixture.last.aclose()


async def test_another_worker_reads_it_from_redis(one: Worker, valkey: redis.Redis) -> None:
    fixture = StickySenderFixture(one)
    first = fixture.answers()
    await fixture.last.aclose()
    assert stored(valkey) == first
    assert 0 < valkey.pttl(bucket_of(CONTACT).contact(MG, CONTACT)) <= DAY
    other = StickySenderFixture(one)
    for number in range(9):
        other.answers(f"+1646555{number:04}")
    assert other.answers(facts=RecipientFacts(last_sender=first)) == first
    await other.last.aclose()


async def test_the_latest_choice_holds_in_whatever_order_they_come(one: Worker, valkey: redis.Redis) -> None:
    clock = FakeClock()
    early, late = (StickySenders(one.journal, lambda: DAY, clock) for _ in range(2))
    early_at, clock.now = clock.now, clock.now + 60
    late.remember(MG, CONTACT, "+12125550001")
    await late.aclose()
    clock.now = early_at
    early.remember(MG, CONTACT, "+12125550002")
    await early.aclose()
    assert stored(valkey) == "+12125550001"


async def test_a_contact_who_opted_out_stays_on_the_list_for_ever(one: Worker, valkey: redis.Redis) -> None:
    key = bucket_of(CONTACT).contact(MG, CONTACT)
    valkey.hset(key, ":opt-out", "1 1 STOP")
    last = StickySenders(one.journal, lambda: DAY)
    last.remember(MG, CONTACT, "+12125550001")
    await last.aclose()
    assert valkey.pttl(key) == -1


async def test_without_redis_the_worker_uses_its_copy_and_stores_it_later(
    private_valkey: PrivateValkey, tmp_path: Path
) -> None:
    async with worker(private_valkey.url, tmp_path) as alone:
        fixture = StickySenderFixture(alone)
        private_valkey.kill()
        first = fixture.answers()
        fixture.answers("+16465550199")
        assert fixture.answers() == first
        await fixture.last.aclose()
        assert alone.journal.has_backlog


async def test_memory_is_bounded(one: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sticky_senders, "MAX_RECENT", 10)
    last = StickySenders(one.journal, lambda: DAY)
    for number in range(25):
        last.remember(MG, f"+1646555{number:04}", "+12125550001")
    assert list(last.recent) == [(MG, f"+1646555{number:04}") for number in range(15, 25)]
    await last.aclose()


async def test_a_number_without_equals_is_not_written_down(one: Worker, valkey: redis.Redis) -> None:
    last = StickySenders(one.journal, lambda: DAY)
    pool = Pool(MG, 1, EQUALS[:1])
    composer = Composer(lambda *_: pool, {None: ReplyFrom.SHORT_CODE_FIRST}, "", sticky_senders=last)
    composer.compose(message(sender=CONTACT, service=MG), Reply("hello"), "A")
    await last.aclose()
    assert stored(valkey) is None


async def test_a_choice_from_before_the_clock_was_set_back_holds_against_no_later_one(
    one: Worker, valkey: redis.Redis
) -> None:
    key = bucket_of(CONTACT).contact(MG, CONTACT)
    now = valkey.time()[0] * 1000

    async def choose(sender: Sender, at: int) -> None:
        call = set_sticky_sender(scope=MG, contact=CONTACT, sender=sender.address, chosen_at=at, ttl_ms=DAY)
        await one.journal.write(call)

    for stamp, latest in ((now + 86_400_000, False), (now - 1000, True)):
        valkey.hset(key, ":sticky-sender", f"{EQUALS[0].address} {stamp}")
        await choose(EQUALS[1], now - 5000)
        assert (stored(valkey) == EQUALS[0].address) is latest
    await choose(EQUALS[2], now + 86_400_000)
    await choose(EQUALS[3], now + 10_000)
    assert stored(valkey) in {EQUALS[2].address, EQUALS[3].address}
    await asyncio.sleep(0.002)
    await choose(EQUALS[1], now + 86_400_000)
    assert stored(valkey) == EQUALS[1].address, "it came later"
