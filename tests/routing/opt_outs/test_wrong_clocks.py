"""Copies of the opt-out list agree with Redis, and the last STOP or START counts, whatever Redis' clock says.

The clock jumps between changes. What Redis publishes arrives at each copy late and in any order, a copy may
be written back at any time, and a change may wait in the spool while Redis is away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sms_router.routing.opt_outs.cache import ConsentChange, OptOutCache
from sms_router.routing.opt_outs.sync import restore_call
from sms_router.store import scripts
from sms_router.store.keys import bucket_of
from sms_router.store.scripts.loader import Call

KEY = SCOPE, CONTACT = "MG1", "+14155550123"
STATE = bucket_of(CONTACT).contact(SCOPE, CONTACT)
PUBLISHED = bucket_of(CONTACT).contact(SCOPE, "published").decode()
COPIES = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("change"), COPIES, st.booleans()),
    st.tuples(st.just("stop while Redis is away"), COPIES, st.sampled_from([-3600, 0, 3600])),
    st.tuples(st.just("deliver"), COPIES, st.integers(0, 9)),
    st.tuples(st.just("restore"), COPIES),
    st.tuples(st.just("lose"), st.permutations(range(3))),
    st.tuples(st.just("set clock"), st.sampled_from([-3600, 0, 3600, 86_400])),
    st.tuples(st.just("wait"), st.sampled_from([1, 90, 4000, 100_000])),
)  # fmt: skip


class Model:
    """One contact in Redis, whose clock can be set, and in the copies of three workers."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        client.flushdb()
        self.copies = [OptOutCache() for _ in range(3)]
        self.queues: list[list[str]] = [[], [], []]
        """What is published and has not arrived at each copy."""
        self.time_ms = 1_700_000_000_000
        self.offset = 0
        self.is_opted_out = False
        """By the last STOP or START."""
        self.newest = 0
        """The order of what holds in Redis."""

    def now(self) -> int:
        return self.time_ms + self.offset * 1000

    def run(self, call: Call) -> ConsentChange:
        script, keys, arguments = call
        source, now = script.source.decode(), self.now()
        source = source.replace("redis.call('TIME')", f"{{{now // 1000}, {now % 1000 * 1000}}}")
        source = source.replace("redis.pcall('PUBLISH', channel", f"redis.call('RPUSH', '{PUBLISHED}'")
        reply: Any = self.client.eval(source, len(keys), *keys, *arguments)
        texts: Any = self.client.lrange(PUBLISHED, 0, -1)
        for text in texts:
            for queue in self.queues:
                queue.append(text.decode())
        self.client.delete(PUBLISHED)
        self.newest = reply[2]
        return ConsentChange(bool(reply[1]), self.newest)

    def receive(self, copy: OptOutCache, is_stop: bool) -> Call:
        """Apply a STOP or START as the worker does that receives it; return what it stores."""
        self.time_ms += 1
        self.is_opted_out = is_stop
        now = self.now()
        order = copy.order_of(KEY, is_stop, now, now)
        copy.apply(KEY, ConsentChange(is_stop, order))
        return scripts.change_consent(
            scope=SCOPE, contact=CONTACT, message=None, request="stop" if is_stop else "start",
            source="keyword", requested_at=now, order=order, ttl_ms=10**9, consent_ttl_ms=10**9,
        )  # fmt: skip

    def change(self, number: int, is_stop: bool) -> None:
        copy = self.copies[number]
        copy.apply(KEY, self.run(self.receive(copy, is_stop)))

    def stop_while_away(self, number: int, offset: int) -> None:
        self.deliver_all()
        if self.newest not in {0, self.copies[number].stops.get(KEY), self.copies[number].starts.get(KEY)}:
            return  # a START of a contact who is not on the list is known to one worker alone
        call = self.receive(self.copies[number], is_stop=True)
        assert KEY in self.copies[number], "the worker goes by its copy"
        self.time_ms += 5000
        self.offset = offset
        self.run(call)

    def deliver(self, number: int, place: int) -> None:
        if queue := self.queues[number]:
            self.copies[number].apply_published(queue.pop(place % len(queue)))

    def deliver_all(self) -> None:
        for number, queue in enumerate(self.queues):
            while queue:
                self.deliver(number, -1)

    def restore(self, number: int) -> None:
        copy = self.copies[number]
        for request, order in (("stop", copy.stops.get(KEY)), ("start", copy.starts.get(KEY))):
            if order is not None:
                copy.apply(KEY, self.run(restore_call(request, KEY, order, 10**9, 10**9)))

    def lose(self, order: list[int]) -> None:
        self.deliver_all()
        self.client.flushdb()
        for number in order:
            self.restore(number)

    def set_clock(self, offset: int) -> None:
        self.offset = offset

    def wait(self, seconds: int) -> None:
        self.time_ms += seconds * 1000


STEP: dict[str, Callable[..., None]] = {
    "change": Model.change, "stop while Redis is away": Model.stop_while_away, "deliver": Model.deliver,
    "restore": Model.restore, "lose": Model.lose, "set clock": Model.set_clock, "wait": Model.wait,
}  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=2, max_size=14))
def test_the_last_change_counts_in_redis_and_in_every_copy(valkey: redis.Redis, steps: list[Any]) -> None:
    model = Model(valkey)
    for name, *arguments in steps:
        STEP[name](model, *arguments)
        assert valkey.hexists(STATE, ":opt-out") is model.is_opted_out, name
    model.deliver_all()
    assert [KEY in copy for copy in model.copies] == [model.is_opted_out] * 3
    for number in range(3):
        model.restore(number)
    assert valkey.hexists(STATE, ":opt-out") is model.is_opted_out


@pytest.mark.parametrize("is_start_known", [True, False])
@pytest.mark.parametrize(
    ("known", "is_stop", "at", "order"),
    [
        (100_000, True, 90_000, 90_000),
        (100_001, True, 90_000, 100_002),
        (160_000, False, 100_000, 100_000),  # the clocks of two servers may differ
        (160_001, False, 40_000, 160_001),
        (160_001, False, 39_999, 39_999),
    ],
)
def test_a_change_comes_after_a_known_one_in_the_future(
    is_start_known: bool, known: int, is_stop: bool, at: int, order: int
) -> None:
    cache = OptOutCache()
    cache.apply(KEY, ConsentChange(not is_start_known, known))
    assert cache.order_of(KEY, is_stop, at, now=100_000) == order
