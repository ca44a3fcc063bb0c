"""A forwarder, and servers to which it forwards."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sms_router.routing.contacts.contacts import Contacts
from sms_router.routing.handler.reply import Reply, ReplyFailed
from sms_router.routing.upstream.cookies import CookieStore
from sms_router.routing.upstream.endpoint import EndpointPool
from sms_router.routing.upstream.forward_rule import Forward, Target
from sms_router.routing.upstream.forwarder import Forwarder
from sms_router.routing.upstream.models import Headers
from sms_router.senders.error_table import load_error_table
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.senders.pool import Pool, find_pool
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.webhook_url import Method, WebhookUrl
from tests.routing.messages import ACCOUNT, CONTACT, message
from tests.routing.upstream.raw_server import RawServer, serve
from tests.routing.workers import worker

TOKEN = "the-auth-token"
PUBLIC_URL = "https://sms.example.com"
PARAMETERS = {"From": CONTACT, "To": "12345", "Body": "VOTE 7 & ü", "Empty": ""}
TEXT = message(PARAMETERS["Body"], **PARAMETERS)


def forward(
    url: str,
    fallback: str | None = None,
    *,
    method: str = "POST",
    timeout: float | None = None,
    hosts: tuple[str, ...] = (),
) -> Forward:
    """Return a forward, as from a table of keywords.toml."""
    second = Target(WebhookUrl.parse(fallback)) if fallback else None
    return Forward(Target(WebhookUrl.parse(url), Method(method)), second, timeout, frozenset(hosts))


@dataclass(frozen=True, slots=True)
class ForwarderFixture:
    """A forwarder with a real store, and the contacts that it checks."""

    forwarder: Forwarder
    contacts: Contacts

    async def forward(
        self,
        to: Forward,
        text: InboundMessage = TEXT,
        *,
        seconds: float = 5.0,
        headers: Headers = (),
    ) -> Reply | ReplyFailed:
        return await self.forwarder.forward(to, text, time.monotonic() + seconds, headers)

    async def texts(self, to: Forward, *, seconds: float = 5.0) -> list[str]:
        """Forward a text and return the texts of the reply."""
        reply = await self.forward(to, seconds=seconds)
        assert isinstance(reply, Reply), reply
        return list(reply.texts)


@pytest.fixture
async def forwarding(valkey_url: str, tmp_path: Path) -> AsyncIterator[ForwarderFixture]:
    async with worker(valkey_url, tmp_path / "spool") as one:
        sender = Sender("PN1", "+12125550100", SenderKind.LONG_CODE, "US", Capability.SMS)
        pools = {"MG1": Pool("MG1", 1, (sender,))}
        contacts = Contacts(
            one.store,
            one.journal,
            lambda service, texted, _: find_pool(pools, service, texted),
            load_error_table(tmp_path),
        )
        forwarder = Forwarder({ACCOUNT: TOKEN}, contacts, CookieStore(one.store), PUBLIC_URL, EndpointPool(4))
        yield ForwarderFixture(forwarder, contacts)
        await forwarder.aclose()


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with serve() as server:
        yield server


@pytest.fixture
async def other_server() -> AsyncIterator[RawServer]:
    """Another server, on another port."""
    async with serve() as server:
        yield server
