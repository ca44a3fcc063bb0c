"""The sandbox in the place of Twilio, and the routers' records of messages."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4
from xml.etree.ElementTree import fromstring

import aiohttp
from redis.asyncio import Redis

from sms_router.store import scripts
from sms_router.store.keys import bucket_of
from sms_router.store.redis_py import run_script, sync_client
from tests.end_to_end.router_process import ACCOUNT, HttpResponse, RouterProcess
from tests.waiting import wait_until

CONTACT = "+14155550123"
EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
SHORT_DEADLINE = "inline_deadline = 0.5"


@dataclass(frozen=True, slots=True)
class SandboxTwilio:
    """A running sandbox, which delivers the routers' REST messages to the contact's phone."""

    url: str
    session: aiohttp.ClientSession

    @property
    def environment(self) -> dict[str, str]:
        return {"TWILIO_API_BASE_URL": self.url}

    async def phone_messages(self) -> list[tuple[str, str]]:
        """Return the senders and texts of the messages on the contact's phone."""
        async with self.session.get(f"{self.url}/sandbox/phones/{CONTACT}") as response:
            phone: dict[str, Any] = await response.json()
        return [(message["from"], message["body"]) for message in phone["messages"]]

    async def add_fault(self, **rest: Any) -> None:
        """Make calls of the Messages API fail."""
        fault = {"rest": {"path": "/Messages", **rest}}
        async with self.session.post(f"{self.url}/sandbox/faults", json=fault) as response:
            assert response.status == 200, await response.text()

    async def expect_messages(self, *expected: tuple[str, str]) -> None:
        """Wait until the phone has these messages, and assert that no other follows."""

        async def has_arrived() -> bool:
            return len(await self.phone_messages()) >= len(expected)

        await wait_until(has_arrived)
        await asyncio.sleep(0.3)
        assert await self.phone_messages() == list(expected)


def text_of(answer: HttpResponse) -> str:
    (message,) = fromstring(answer.body).findall("Message")
    return message.findtext("Body") or ""


async def report_status(
    router: RouterProcess, reply: str, status: str, code: str = "", **changed: str
) -> str:
    """Send a status callback about a reply, and return the sid of the outgoing message."""
    receipt = {
        "MessageSid": "SM" + uuid4().hex,
        "AccountSid": ACCOUNT,
        "From": "12345",
        "To": CONTACT,
        "MessageStatus": status,
        "ErrorCode": code,
        **changed,
    }
    answer = await router.deliver(receipt, path=f"/sms/status?reply={reply}")
    assert answer.status == 204
    return receipt["MessageSid"]


def add_missed_message(router: RouterProcess, parameters: Mapping[str, str]) -> str:
    """Store a dead letter without an answer, as `reconcile` does; return its sid."""
    reference = f"{ACCOUNT}/{parameters['MessageSid']}"
    with sync_client(router.redis_url) as client:
        call = scripts.journal_missed(
            contact=parameters["From"],
            reference=reference,
            request=urlencode(parameters).encode(),
            received=int(time.time() * 1000) - 120_000,
            retention_ms=86_400_000,
            cause="never arrived: error 11205 (no connection)",
            answer=b"",
            outcome="",
            trail=b"",
            work=b"",
        )
        run_script(client, call)
    return parameters["MessageSid"]


def show_message(router: RouterProcess, sid: str) -> dict[str, Any]:
    """Return the output of ``messages show``."""
    result = router.command("messages", "show", sid, "--json", "--reveal")
    assert result.returncode == 0, result.stderr
    record = json.loads(result.stdout)
    assert isinstance(record, dict)
    return record


async def wait_for_causes(router: RouterProcess, sid: str, *parts: str) -> None:
    """Wait until a message is a dead letter with these causes."""

    async with Redis.from_url(router.redis_url, decode_responses=True) as client:

        async def has_causes() -> bool:
            entries: Any = await client.xrange(bucket_of(CONTACT).dead_letters)
            causes = [fields["cause"] for _, fields in entries if fields["message"].endswith(sid)]
            return all(any(part in cause for cause in causes) for part in parts)

        await wait_until(has_causes)
