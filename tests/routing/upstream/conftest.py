"""An upstream that misbehaves, and a worker that asks it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.handler.reply import Reply, ReplyFailed
from sms_router.routing.upstream.cookies import CookieStore
from sms_router.routing.upstream.forward_rule import Forward, Target
from sms_router.routing.upstream.forwarder import Forwarder
from sms_router.routing.upstream.models import Headers
from sms_router.senders.error_table import load_error_table
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.senders.pool import Pool, find_pool
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.webhook_url import Method, WebhookUrl
from tests.routing.messages import ACCOUNT, PERSON, message
from tests.routing.upstream.site import Site, site
from tests.routing.workers import worker

TOKEN = "the-auth-token"
PUBLIC_URL = "https://sms.example.com"
SENT = {"From": PERSON, "To": "12345", "Body": "VOTE 7 & ü", "Empty": ""}
TEXT = message(SENT["Body"], **SENT)


def forward(
    url: str,
    fallback: str | None = None,
    *,
    method: str = "POST",
    timeout: float | None = None,
    hosts: tuple[str, ...] = (),
) -> Forward:
    """Return a forward as keywords.toml would write it."""
    second = Target(WebhookUrl.parse(fallback)) if fallback else None
    return Forward(Target(WebhookUrl.parse(url), Method(method)), second, timeout, frozenset(hosts))


@dataclass(frozen=True, slots=True)
class Asking:
    """One worker that forwards."""

    upstreams: Forwarder
    people: Contacts

    async def ask(
        self,
        to: Forward,
        text: InboundMessage = TEXT,
        *,
        seconds: float = 5.0,
        headers: Headers = (),
    ) -> Reply | ReplyFailed:
        """Forward a text."""
        return await self.upstreams.forward(to, text, time.monotonic() + seconds, headers)

    async def said(self, to: Forward, *, seconds: float = 5.0) -> list[str]:
        """Forward a text that is answered, and return the texts of the answer."""
        reply = await self.ask(to, seconds=seconds)
        assert isinstance(reply, Reply), reply
        return list(reply.texts)


@pytest.fixture
async def asking(valkey_url: str, tmp_path: Path) -> AsyncIterator[Asking]:
    """Give a worker with a real store."""
    async with worker(valkey_url, tmp_path / "spool") as one:
        ours = Pool("MG1", 1, (Sender("PN1", "+12125550100", SenderKind.LONG_CODE, "US", Capability.SMS),))
        pools = {"MG1": ours}
        people = Contacts(one.store, one.journal, partial(find_pool, pools), load_error_table(tmp_path))
        upstreams = Forwarder({ACCOUNT: TOKEN}, people, CookieStore(one.store), PUBLIC_URL, 4)
        yield Asking(upstreams, people)
        await upstreams.aclose()


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    """Give the upstream."""
    async with site() as one:
        yield one


@pytest.fixture
async def there() -> AsyncIterator[Site]:
    """Give another one, on another port."""
    async with site() as one:
        yield one
