"""The line to one upstream: its breaker at work, and what is told of it."""

from __future__ import annotations

import asyncio

import pytest

from sms_router.routing.upstream import endpoint as lines
from sms_router.routing.upstream.circuit_breaker import FEWEST_CALLS, OPEN_SECONDS, State
from sms_router.routing.upstream.endpoint import Endpoint, EndpointPool
from sms_router.routing.upstream.failure import UpstreamFailure
from sms_router.twilio.webhook_url import WebhookUrl

URL = WebhookUrl.parse("https://votes.example.com/sms")
DEAD = UpstreamFailure(11205, "no connection", URL, counts_against_circuit=True)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def line(clock: Clock) -> Endpoint:
    return Endpoint(URL.origin, 1, clock)


async def call(line: Endpoint, answer: str | UpstreamFailure, until: float = 1e9) -> str | UpstreamFailure:
    async def fetch() -> str | UpstreamFailure:
        return answer

    return await line.call(URL, until, fetch)


async def test_an_upstream_that_comes_back_is_called_again_and_the_operator_hears_of_both(
    line: Endpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(FEWEST_CALLS):
        assert await call(line, DEAD) is DEAD
    assert line.status().state is State.OPEN
    refused = await call(line, "well")
    assert refused == UpstreamFailure(11205, "not called, since it keeps failing", URL, called=False)
    clock.seconds += OPEN_SECONDS
    assert await call(line, DEAD) is DEAD
    assert line.status().trouble == "votes.example.com/sms: 11205 no connection"
    clock.seconds += 2 * OPEN_SECONDS
    assert await call(line, "well") == "well"
    assert (line.status().state, line.status().trouble) == (State.CLOSED, None)
    assert [message.partition(" ")[2][:13] for message in caplog.messages] == [
        "keeps failing",
        "answers again",
    ]


async def test_while_one_call_tries_whether_it_is_well_the_others_do_not_wait(
    line: Endpoint, clock: Clock
) -> None:
    for _ in range(FEWEST_CALLS):
        await call(line, DEAD)
    clock.seconds += OPEN_SECONDS
    go_on = asyncio.Event()

    async def slow() -> str:
        await go_on.wait()
        return "well"

    probe = asyncio.create_task(line.call(URL, 1e9, slow))
    while line.status().state is not State.HALF_OPEN:
        await asyncio.sleep(0)
    assert isinstance(await call(line, "well"), UpstreamFailure)
    go_on.set()
    assert await probe == "well"
    assert await call(line, "well") == "well"


async def test_without_room_it_is_given_up_in_time_and_nobody_waits_who_cannot_be_served(
    line: Endpoint, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = asyncio.create_task(line.call(URL, 1e9, asyncio.Event().wait))
    await asyncio.sleep(0)
    crowded = UpstreamFailure(11200, "too many texts are on their way there", URL, called=False)
    assert await call(line, "well", until=clock.seconds + 0.01) == crowded
    monkeypatch.setattr(lines, "MOST_WAITING", 0)
    assert await call(line, "well") == crowded
    assert line.status().state is State.CLOSED
    taken.cancel()
    await asyncio.gather(taken, return_exceptions=True)


def test_only_so_many_lines_are_kept_and_those_in_trouble_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_LINES", 3)
    kept = EndpointPool(1)
    for name in "abcd":
        kept.line(name, fallback=False)
    kept.line("b", fallback=True)
    assert [status.name for status in kept.statuses()] == ["c", "d", "b (as fallback)"]
