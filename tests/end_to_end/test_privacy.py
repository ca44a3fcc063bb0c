"""Retention and deletion of personal data by a running router."""

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

THREE_DAYS = 3 * 86_400_000
"""In milliseconds."""


def make_older(client: Any, sid: str) -> None:
    """Set the time of a message back by three days."""
    bucket, reference = bucket_of(CONTACT), f"{ACCOUNT}/{sid}"
    for entry, fields in client.xrange(bucket.journal):
        if fields[b"message"].decode() == reference:
            client.delete(bucket.journal)
            received = int(entry.partition(b"-")[0]) - THREE_DAYS
            client.xadd(bucket.journal, {"message": reference}, id=f"{received}-0")
    client.hincrby(bucket.message(reference), "received", -THREE_DAYS)


async def test_the_text_of_an_old_message_is_deleted_and_its_record_is_not(
    start_router: StartRouter, twilio: SandboxTwilio, valkey: PrivateValkey
) -> None:
    router = start_router(environment=twilio.environment)
    parameters = webhook("HOURS")
    sid = parameters["MessageSid"]
    await router.deliver(parameters)
    router.stop()
    with redis.Redis.from_url(valkey.url) as client:
        make_older(client, sid)
    router = start_router("body_retention_days = 2", twilio.environment)

    async def is_deleted() -> bool:
        return bool(show_message(router, sid)["body"] == "(no longer kept)")

    await wait_until(is_deleted)
    record = show_message(router, sid)
    assert (record["from"], record["outcome"], record["rule"]) == (CONTACT, "reply", "HOURS")
    assert record["answer"] == []
    assert record["trail"][0].startswith("12345: chosen: ")
    assert "texts removed" in [step["what"] for step in record["story"]]
    refused = router.command("replay", sid, "--max-age", "9d")
    assert refused.returncode == 1
    assert "its text is no longer kept" in refused.stdout
    assert (await router.deliver(parameters)).status == 200
    assert show_message(router, sid)["body"] == "(no longer kept)"


async def test_a_deleted_contact_is_neither_in_redis_nor_in_the_log(
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
    await wait_for_causes(router, sids[0], "Twilio responded with 400")
    result = router.command("messages", "forget", CONTACT, "--yes", "--json")
    assert result.returncode == 0, result.stderr
    removed = json.loads(result.stdout)["removed"]
    assert (removed["messages"], removed["receipts"], removed["contact"]) == (3, 1, 1)
    with redis.Redis.from_url(valkey.url) as client:
        keys = b" ".join(client.scan_iter())
        assert CONTACT[1:].encode() not in keys
        assert not any(sid.encode() in keys for sid in sids)
        bucket = bucket_of(CONTACT)
        assert (client.xlen(bucket.journal), client.xlen(bucket.dead_letters)) == (0, 0)
    assert CONTACT not in router.log
    assert CONTACT[1:] not in router.log
