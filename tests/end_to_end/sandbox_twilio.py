"""The offline Twilio that routers send through, what it shows, and what routers say of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4
from xml.etree.ElementTree import fromstring

import aiohttp
from redis.asyncio import Redis

from sms_router.store.keys import bucket_of
from tests.end_to_end.running import ACCOUNT, Answer, RunningRouter, until

PERSON = "+14155550123"
EMPTY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
SOON = "inline_deadline = 0.5"


@dataclass(frozen=True, slots=True)
class Twilio:
    """The offline Twilio that the routers send through."""

    url: str
    session: aiohttp.ClientSession

    @property
    def environment(self) -> dict[str, str]:
        return {"TWILIO_API_BASE_URL": self.url}

    async def phone(self) -> list[tuple[str, str]]:
        """Return what the phone has got, as senders and texts."""
        async with self.session.get(f"{self.url}/sandbox/phones/{PERSON}") as response:
            screen: dict[str, Any] = await response.json()
        return [(message["from"], message["body"]) for message in screen["messages"]]

    async def fail(self, **rest: Any) -> None:
        """Have calls about messages fail from now on."""
        fault = {"rest": {"path": "/Messages", **rest}}
        async with self.session.post(f"{self.url}/sandbox/faults", json=fault) as response:
            assert response.status == 200, await response.text()

    async def shows(self, *wanted: tuple[str, str]) -> None:
        """Wait until the phone has got exactly these, and see that nothing follows."""

        async def there() -> bool:
            return len(await self.phone()) >= len(wanted)

        await until(there)
        await asyncio.sleep(0.3)
        assert await self.phone() == list(wanted)


def text_of(answer: Answer) -> str:
    (message,) = fromstring(answer.body).findall("Message")
    return message.findtext("Body") or ""


async def report(router: RunningRouter, reply: str, status: str, code: str = "", **changed: str) -> str:
    """Report what became of a reply, and return the sid of the outgoing message."""
    receipt = {
        "MessageSid": "SM" + uuid4().hex,
        "AccountSid": ACCOUNT,
        "From": "12345",
        "To": PERSON,
        "MessageStatus": status,
        "ErrorCode": code,
        **changed,
    }
    answer = await router.deliver(receipt, path=f"/sms/status?reply={reply}")
    assert answer.status == 204
    return receipt["MessageSid"]


def story(router: RunningRouter, sid: str) -> dict[str, Any]:
    told = router.command("messages", "show", sid, "--json", "--reveal")
    assert told.returncode == 0, told.stderr
    episode = json.loads(told.stdout)
    assert isinstance(episode, dict)
    return episode


async def has_causes(router: RunningRouter, sid: str, *parts: str) -> None:
    """Wait until the message is a dead letter for these reasons."""

    async with Redis.from_url(router.redis_url, decode_responses=True) as client:

        async def noted() -> bool:
            letters: Any = await client.xrange(bucket_of(PERSON).dead_letters)
            causes = [each["cause"] for _, each in letters if each["message"].endswith(sid)]
            return all(any(part in cause for cause in causes) for part in parts)

        await until(noted)
