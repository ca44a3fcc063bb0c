"""A running sandbox, with a customer's application behind it and the official client before it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from sms_router.sandbox.application import create_sandbox
from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.hosting import serve
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.webhooks.connection_policy import ConnectionPolicy
from sms_router.sandbox.world.loader import load_world
from sms_router.sandbox.world.world import World
from tests.sandbox.customer_application import CustomerApplication
from tests.sandbox.openapi import validate_response

WORLD = Path(__file__).parent.parent.parent / "config" / "sandbox.toml"
SERVICE = "MG00000000000000000000000000000001"
SHORT_CODE, SHORT_CODE_SID = "12345", "SC00000000000000000000000000000001"
SAN_FRANCISCO, NEW_YORK, TOLL_FREE, TORONTO = "+14155550100", "+12125550100", "+18885550100", "+16475550100"
PHONE, PRAIRIE_PHONE, CANADIAN_PHONE = "+14155550123", "+12125550123", "+16475550123"

Result = TypeVar("Result")


class LocalHttpClient:
    """The official client's transport with another host; every response is validated against OpenAPI."""

    def __init__(self, base_url: str) -> None:
        self._transport = TwilioHttpClient(timeout=10)
        self._base = urlsplit(base_url)
        self.validated: set[tuple[str, str] | None] = set()
        """Method and path template of each operation that succeeded."""

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        local_url = urlsplit(url)._replace(scheme=self._base.scheme, netloc=self._base.netloc)
        response = self._transport.request(method, local_url.geturl(), *args, **kwargs)
        if response.headers.get("Content-Type") != "text/html; charset=utf-8":
            operation = validate_response(method, local_url.path, response.status_code, response.text)
            self.validated.add(operation)
        return response

    def close(self) -> None:
        self._transport.session.close()


@dataclass
class SandboxFixture:
    url: str
    world: World
    platform: Platform
    clock: ManualClock
    customer: CustomerApplication
    session: aiohttp.ClientSession
    transport: LocalHttpClient

    async def call(self, call: Callable[[Client], Result]) -> Result:
        """Call the official client in a thread, as its users do."""
        client = Client(self.world.account_sid, self.world.auth_token, http_client=self.transport)
        return await asyncio.to_thread(call, client)

    async def text(
        self, body: str, to: str = SHORT_CODE, *, sender: str = PHONE, **more: Any
    ) -> dict[str, Any]:
        """Text as a phone, and return the sandbox's response."""
        return await self.post(f"/sandbox/phones/{sender}/messages", {"to": to, "body": body, **more})

    async def post(self, path: str, body: object, status: int | None = None) -> dict[str, Any]:
        async with self.session.post(self.url + path, json=body) as response:
            assert response.status == (status or response.status)
            content: dict[str, Any] = await response.json()
            return content

    async def get(self, path: str) -> dict[str, Any]:
        async with self.session.get(self.url + path) as response:
            content: dict[str, Any] = await response.json()
            return content

    async def phone(self, number: str = PHONE) -> dict[str, Any]:
        return await self.get(f"/sandbox/phones/{number}")

    async def alert_codes(self) -> list[int]:
        """Return the debugger's codes, oldest first."""
        return [alert["error_code"] for alert in reversed((await self.get("/sandbox/alerts"))["alerts"])]

    async def wait_until_idle(self) -> None:
        """Wait until all messages and all status callbacks have ended."""
        await self.platform.deliveries.wait_all()
        await self.platform.callbacks.wait_all()


@cache
def demo_world() -> World:
    """Return the included world; it is frozen, so that all tests can share it."""
    return load_world(WORLD)


@asynccontextmanager
async def run_sandbox(
    policy: ConnectionPolicy | None = None, **changes: Any
) -> AsyncIterator[SandboxFixture]:
    """Start a customer's application, a sandbox that calls it, and the client.

    ``changes`` replace parts of the demo world; the URLs of its Services are the customer's in any case.
    """
    customer, clock = CustomerApplication(), ManualClock()
    async with serve(customer.app()) as customer.url:
        world = _with_urls(customer.url, replace(demo_world(), **changes))
        app = create_sandbox(world, clock=clock, seed=1, policy=policy)
        async with serve(app) as url, aiohttp.ClientSession() as session:
            transport = LocalHttpClient(url)
            yield SandboxFixture(url, world, app.state.platform, clock, customer, session, transport)
            transport.close()


def _with_urls(url: str, world: World) -> World:
    services = (
        replace(
            service,
            inbound_request_url=f"{url}/sms",
            fallback_url=f"{url}/sms/fallback",
            status_callback=f"{url}/sms/status",
        )
        for service in world.services
    )
    return replace(world, services=tuple(services))
