"""What a running router keeps of people, and for how long."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis

from sms_router.store.keys import bucket_of
from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import ACCOUNT, webhook
from tests.end_to_end.sandbox_twilio import (
    CONTACT,
    SandboxTwilio,
    report_status,
    show_message,
    wait_for_causes,
)
from tests.store.private_valkey import PrivateValkey
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

LONG_AGO = 3 * 86_400_000


def age(client: Any, sid: str) -> None:
    """Make a message older than it is, as if it had come three days ago."""
    bucket, reference = bucket_of(CONTACT), f"{ACCOUNT}/{sid}"
    for entry, fields in client.xrange(bucket.journal):
        if fields[b"message"].decode() == reference:
            client.delete(bucket.journal)
            received = int(entry.partition(b"-")[0]) - LONG_AGO
            client.xadd(bucket.journal, {"message": reference}, id=f"{received}-0")
    client.hincrby(bucket.message(reference), "received", -LONG_AGO)


async def test_a_router_takes_old_texts_out_and_leaves_the_story(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> None:
    router = start_router(environment=twilio.environment)
    parameters = webhook("HOURS")
    sid = parameters["MessageSid"]
    await router.deliver(parameters)
    router.stop()
    with redis.Redis.from_url(valkey.url) as client:
        age(client, sid)
    router = start_router("body_retention_days = 2", twilio.environment)

    async def gone() -> bool:
        return bool(show_message(router, sid)["body"] == "(no longer kept)")

    await wait_until(gone)
    told = show_message(router, sid)
    assert (told["from"], told["outcome"], told["rule"], told["answer"]) == (CONTACT, "reply", "HOURS", [])
    assert told["trail"][0].startswith("12345: chosen: ")
    assert "texts removed" in [step["what"] for step in told["story"]]
    refused = router.command("replay", sid, "--max-age", "9d")
    assert refused.returncode == 1
    assert "its text is no longer kept" in refused.stdout
    assert (await router.deliver(parameters)).status == 200
    assert show_message(router, sid)["body"] == "(no longer kept)"


async def test_nothing_of_a_forgotten_person_is_in_redis_or_in_the_log(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> None:
    router = start_router(environment=twilio.environment)
    await twilio.add_fault(kind="status", status=400, count=1)
    sids = []
    for body in ("HOURS", "BOOM", "SENDER"):
        parameters = webhook(body)
        await router.deliver(parameters)
        sids.append(parameters["MessageSid"])
    await report_status(router, f"{sids[0]}.0", "undelivered", "30006")
    await wait_for_causes(router, sids[0], "Twilio answered 400")
    forgotten = router.command("messages", "forget", CONTACT, "--yes", "--json")
    assert forgotten.returncode == 0, forgotten.stderr
    removed = json.loads(forgotten.stdout)["removed"]
    assert (removed["messages"], removed["receipts"], removed["contact"]) == (3, 1, 1)
    with redis.Redis.from_url(valkey.url) as client:
        names = b" ".join(client.scan_iter())
        assert CONTACT[1:].encode() not in names
        assert not any(sid.encode() in names for sid in sids)
        bucket = bucket_of(CONTACT)
        assert (client.xlen(bucket.journal), client.xlen(bucket.dead_letters)) == (0, 0)
    assert CONTACT not in router.log
    assert CONTACT[1:] not in router.log
