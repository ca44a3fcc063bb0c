"""The endpoint of an upstream: its concurrency limit, the bound on waiting calls, its circuit breaker."""

from __future__ import annotations

import asyncio

import pytest

from sms_router.routing.upstream import endpoint as endpoint_module
from sms_router.routing.upstream.circuit_breaker import CircuitState
from sms_router.routing.upstream.endpoint import Endpoint, EndpointPool
from sms_router.routing.upstream.models import UpstreamFailure
from sms_router.twilio.webhook_url import WebhookUrl

URL = WebhookUrl.parse("https://votes.example.com/sms")
NO_CONNECTION = UpstreamFailure(11205, "no connection", URL, counts_against_circuit=True)
TOO_MANY = UpstreamFailure(11200, "too many calls to it are in progress", URL, is_called=False)


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
def endpoint(clock: Clock) -> Endpoint:
    return Endpoint(URL.origin, 1, clock)


async def call(
    endpoint: Endpoint, response: str | UpstreamFailure, deadline: float = 1e9
) -> str | UpstreamFailure:
    async def fetch() -> str | UpstreamFailure:
        return response

    return await endpoint.call(URL, deadline, fetch)


async def test_an_upstream_that_recovers_is_called_again_and_both_transitions_are_logged(
    endpoint: Endpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        assert await call(endpoint, NO_CONNECTION) is NO_CONNECTION
    assert endpoint.status().state is CircuitState.OPEN
    refused = await call(endpoint, "ok")
    assert refused == UpstreamFailure(11205, "not called, because it keeps failing", URL, is_called=False)
    clock.seconds += 5
    assert await call(endpoint, NO_CONNECTION) is NO_CONNECTION
    assert endpoint.status().last_failure == "votes.example.com/sms: 11205 no connection"
    clock.seconds += 10
    assert await call(endpoint, "ok") == "ok"
    assert (endpoint.status().state, endpoint.status().last_failure) == (CircuitState.CLOSED, None)
    assert [message.partition(" ")[2][:14] for message in caplog.messages] == [
        "keeps failing ",
        "responds again",
    ]


async def test_calls_do_not_wait_for_a_probe_in_progress(endpoint: Endpoint, clock: Clock) -> None:
    for _ in range(5):
        await call(endpoint, NO_CONNECTION)
    clock.seconds += 5
    finish = asyncio.Event()

    async def slow() -> str:
        await finish.wait()
        return "ok"

    probe = asyncio.create_task(endpoint.call(URL, 1e9, slow))
    while endpoint.status().state is not CircuitState.HALF_OPEN:
        await asyncio.sleep(0)
    assert isinstance(await call(endpoint, "ok"), UpstreamFailure)
    finish.set()
    assert await probe == "ok"
    assert await call(endpoint, "ok") == "ok"


async def test_a_call_waits_for_the_concurrency_limit_until_its_deadline(
    endpoint: Endpoint, clock: Clock
) -> None:
    in_progress = asyncio.create_task(endpoint.call(URL, 1e9, asyncio.Event().wait))
    await asyncio.sleep(0)
    assert await call(endpoint, "ok", deadline=clock.seconds + 0.01) == TOO_MANY
    assert endpoint.status().state is CircuitState.CLOSED
    in_progress.cancel()
    await asyncio.gather(in_progress, return_exceptions=True)


async def test_a_thousand_calls_wait_and_a_further_one_fails_at_once(endpoint: Endpoint) -> None:
    finish = asyncio.Event()

    async def slow() -> str:
        await finish.wait()
        return "ok"

    calls = [asyncio.create_task(endpoint.call(URL, 1e9, slow)) for _ in range(1 + 1000)]
    await asyncio.sleep(0)
    further = asyncio.create_task(call(endpoint, "ok"))
    await asyncio.sleep(0)
    assert further.done()
    assert further.result() == TOO_MANY
    finish.set()
    assert await asyncio.gather(*calls) == ["ok"] * 1001
    assert await call(endpoint, "ok") == "ok"


def test_the_number_of_endpoints_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "MAX_ENDPOINTS", 3)
    endpoints = EndpointPool(1)
    for origin in "abcd":
        endpoints.get(origin, fallback=False)
    endpoints.get("b", fallback=True)
    assert [status.name for status in endpoints.statuses()] == ["c", "d", "b (as fallback)"]


def test_at_most_a_thousand_endpoints_are_held() -> None:
    endpoints = EndpointPool(1)
    for number in range(1001):
        endpoints.get(f"https://{number}.example.com", fallback=False)
    assert len(endpoints.statuses()) == 1000
