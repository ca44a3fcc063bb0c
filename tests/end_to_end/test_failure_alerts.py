"""A short code that loses too much is told of by every replica, and so is that it is over."""

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
EAGER = """
[failures]
share = 0.5
at_least = 8
window = 3600
"""


async def notices(router: RouterProcess) -> list[str]:
    told: list[str] = json.loads((await router.fetch("/readyz")).body)["notices"]
    return told


async def report(router: RouterProcess, answered: dict[str, str], code: str = "") -> None:
    """Say what became of the answer to a message; the same again is the same receipt."""
    receipt = {
        "MessageSid": f"SM{answered['MessageSid'][:1:-1]}",
        "AccountSid": ACCOUNT,
        "From": "12345",
        "To": answered["From"],
        "MessageStatus": "undelivered" if code else "delivered",
        "ErrorCode": code,
    }
    answer = await router.deliver(receipt, path=f"/sms/status?reply={answered['MessageSid']}.0")
    assert answer.status == 204


async def test_a_short_code_that_loses_too_much_is_told_of_once_and_once_when_it_is_over(
    start_router: StartRouter,
) -> None:
    one, other = start_router(EAGER), start_router(EAGER)
    people = [f"+1415555{number:04}" for number in range(100, 110)]
    sent = [webhook("HOURS", From=person) for person in people]
    await asyncio.gather(*(one.deliver(each) for each in sent))
    for number, each in enumerate(sent):
        for router in (one, other):  # a receipt that comes twice counts once
            await report(router, each, "30008" if number < 6 else "")
    expected = ["12345: 60% of its messages fail (error class transient): 6 of 10 in the last 3600 s"]
    for router in (one, other):
        await wait_until(partial(_tells, router, expected))
    await wait_until(lambda: _logged((one, other), WARNING))
    page = (await other.fetch("/metrics")).text
    assert 'sms_router_failure_share{class="transient",sender="12345"} 0.6' in page
    assert 'sms_router_failing_senders{class="transient"} 1.0' in page

    more = [webhook("HOURS", From=f"+1212555{number:04}") for number in range(100, 120)]
    await asyncio.gather(*(one.deliver(each) for each in more))
    await asyncio.gather(*(report(one, each) for each in more))
    for router in (one, other):
        await wait_until(partial(_tells, router, []))
    await wait_until(lambda: _logged((one, other), "no longer fails too often"))
    assert (one.log + other.log).count(WARNING) == 1


async def _tells(router: RouterProcess, expected: list[str]) -> bool:
    return await notices(router) == expected


async def _logged(routers: tuple[RouterProcess, ...], sentence: str) -> bool:
    return sum(router.log.count(sentence) for router in routers) == 1
