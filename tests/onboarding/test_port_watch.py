"""The background reading of port-in requests, against a sandbox and a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import redis as synchronous
import requests
from redis.asyncio import Redis

from sms_router.onboarding.checklist import Checklist
from sms_router.onboarding.port_watch import PortWatch
from sms_router.onboarding.process_choice import choose_path
from sms_router.onboarding.repository import compare_and_set, load_state
from sms_router.onboarding.sync import pending_number
from sms_router.sandbox.application import create_sandbox
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.senders.pending import PendingNumbers
from sms_router.senders.pool import Pool
from sms_router.store.keys import PORT_WATCH
from sms_router.twilio.rest import build_client
from tests.cli.sandbox_cli import SERVICE, WORLD
from tests.membership.recorded import serving

if TYPE_CHECKING:
    from twilio.rest import Client

NEW, ABROAD = "+13125550111", "+447400123456"
NO_REQUEST = "KW" + "9" * 32


@pytest.fixture
def sandbox() -> Iterator[str]:
    with serving(create_sandbox(WORLD)) as url:
        yield url


def watch(redis: Redis, shared_server: str, sandbox: str, *numbers: str) -> PortWatch:
    """Return the watch of a worker with these pending numbers, which are in the Service."""
    senders = [
        Sender(f"PN{position:032}", number, SenderKind.LONG_CODE, None, Capability.SMS)
        for position, number in enumerate(numbers)
    ]
    pools = {SERVICE: Pool(SERVICE, 1, tuple(senders))}
    pending = PendingNumbers(lambda: pools, datetime.now().timestamp)
    pending.install([pending_number(started(number)) for number in numbers], {})

    def client_for(service_sid: str) -> Client | None:
        if service_sid != SERVICE:
            return None
        return build_client(WORLD.account_sid, WORLD.auth_token, sandbox, 5)

    return PortWatch(redis, shared_server, pending, lambda: pools, client_for)


def started(number: str, request_sid: str | None = None) -> Checklist:
    return Checklist.start(choose_path(number, None, None), SERVICE, 1.0, "ada", None, request_sid)


def posted(sandbox: str, path: str, **body: object) -> dict[str, str]:
    response = requests.post(f"{sandbox}/sandbox/{path}", json=body, timeout=5)
    assert response.ok, response.text
    document: dict[str, str] = response.json()
    return document


def stored(operator: synchronous.Redis, number: str) -> Checklist:
    checklist = load_state(operator).find(number)
    assert checklist is not None
    return checklist


async def refresh(port_watch: PortWatch, operator: synchronous.Redis) -> None:
    operator.delete(PORT_WATCH)
    await port_watch.refresh()


async def test_a_port_is_followed_from_its_rejection_to_the_live_number(
    redis: Redis, operator: synchronous.Redis, shared_server: str, sandbox: str
) -> None:
    sid = posted(sandbox, "ports", phone_numbers=[NEW])["port_in_request_sid"]
    compare_and_set(operator, NEW, lambda _: started(NEW, sid))
    port_watch = watch(redis, shared_server, sandbox, NEW)
    posted(sandbox, f"ports/{sid}", status="port_rejected", reason="The PIN is wrong")
    await refresh(port_watch, operator)
    assert stored(operator, NEW).rejected == "rejected by the losing carrier: The PIN is wrong"
    posted(sandbox, f"ports/{sid}", status="port_pending", port_date="2099-12-01")
    await refresh(port_watch, operator)
    assert stored(operator, NEW).rejected is None
    assert str(stored(operator, NEW).expected) == "2099-12-01"
    posted(sandbox, f"ports/{sid}", status="completed")
    await refresh(port_watch, operator)
    assert stored(operator, NEW).is_finished


async def test_one_worker_reads_at_a_time(
    redis: Redis, operator: synchronous.Redis, shared_server: str, sandbox: str
) -> None:
    sid = posted(sandbox, "ports", phone_numbers=[NEW])["port_in_request_sid"]
    compare_and_set(operator, NEW, lambda _: started(NEW, sid))
    await refresh(watch(redis, shared_server, sandbox, NEW), operator)
    posted(sandbox, f"ports/{sid}", status="completed")
    await watch(redis, shared_server, sandbox, NEW).refresh()
    assert not stored(operator, NEW).is_finished


async def test_a_number_without_a_request_is_live_on_its_day_and_an_unknown_request_is_no_error(
    redis: Redis, operator: synchronous.Redis, shared_server: str, sandbox: str
) -> None:
    today = datetime.now(UTC).date()
    compare_and_set(operator, ABROAD, lambda _: started(ABROAD).expect(today, 1.0, "ada"))
    compare_and_set(operator, NEW, lambda _: started(NEW, NO_REQUEST))
    await refresh(watch(redis, shared_server, sandbox, ABROAD, NEW), operator)
    assert stored(operator, ABROAD).is_finished
    assert not stored(operator, NEW).is_finished


async def test_without_pending_numbers_redis_is_not_read(
    redis: Redis, operator: synchronous.Redis, shared_server: str, sandbox: str
) -> None:
    await refresh(watch(redis, shared_server, sandbox), operator)
    assert not operator.exists(PORT_WATCH)
