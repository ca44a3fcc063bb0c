"""Failure alerts: the begin and the end of a sender's high share of failures, in every replica."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import ACCOUNT, RouterProcess, webhook
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

WARNING = " of its messages fail "
FAILURES = """
[failures]
share = 0.5
at_least = 8
window = 3600
"""


async def notices(router: RouterProcess) -> list[str]:
    reported: list[str] = json.loads((await router.fetch("/readyz")).body)["notices"]
    return reported


async def report(router: RouterProcess, message: dict[str, str], code: str = "") -> None:
    """Send a status callback about the reply to a message; a second one is a duplicate of the first."""
    receipt = {
        "MessageSid": f"SM{message['MessageSid'][:1:-1]}",
        "AccountSid": ACCOUNT,
        "From": "12345",
        "To": message["From"],
        "MessageStatus": "undelivered" if code else "delivered",
        "ErrorCode": code,
    }
    answer = await router.deliver(receipt, path=f"/sms/status?reply={message['MessageSid']}.0")
    assert answer.status == 204


async def test_a_high_share_of_failures_is_reported_by_every_replica_and_logged_once(
    start_router: StartRouter,
) -> None:
    first, second = start_router(FAILURES), start_router(FAILURES)
    messages = [webhook("HOURS", From=f"+1415555{number:04}") for number in range(100, 110)]
    await asyncio.gather(*(first.deliver(message) for message in messages))
    for number, message in enumerate(messages):
        for router in (first, second):  # a duplicate of a receipt is not counted
            await report(router, message, "30008" if number < 6 else "")
    expected = ["12345: 60% of its messages fail (error class transient): 6 of 10 in the last 3600 s"]
    for router in (first, second):
        await wait_until(partial(_has_notices, router, expected))
    await wait_until(lambda: _is_logged_once((first, second), WARNING))
    metrics = (await second.fetch("/metrics")).text
    assert 'sms_router_failure_share{class="transient",sender="12345"} 0.6' in metrics
    assert 'sms_router_failing_senders{class="transient"} 1.0' in metrics

    delivered = [webhook("HOURS", From=f"+1212555{number:04}") for number in range(100, 120)]
    await asyncio.gather(*(first.deliver(message) for message in delivered))
    await asyncio.gather(*(report(first, message) for message in delivered))
    for router in (first, second):
        await wait_until(partial(_has_notices, router, []))
    await wait_until(lambda: _is_logged_once((first, second), "no longer fails too often"))
    assert (first.log + second.log).count(WARNING) == 1


async def _has_notices(router: RouterProcess, expected: list[str]) -> bool:
    return await notices(router) == expected


async def _is_logged_once(routers: tuple[RouterProcess, ...], sentence: str) -> bool:
    return sum(router.log.count(sentence) for router in routers) == 1
