"""The client makes the requests that Twilio makes; real sockets, no router."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

from loadtests.chaos.twilio_client import TwilioClient
from loadtests.workload.contacts import make_contact
from loadtests.workload.texts import HOURS
from loadtests.workload.webhook import Account
from sms_router.sandbox.hosting import free_port

ACCOUNT = Account("AC" + "1" * 32, "a-token", "MG" + "1" * 32, "https://sms.example.com")


@dataclass
class Application:
    """Answers each path with a status, and records the requests."""

    statuses: dict[str, int]
    url: str = ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.Response:
        form = await request.post()
        token = request.headers["I-Twilio-Idempotency-Token"]
        self.requests.append((request.path, str(form.get("ErrorCode", "")), token))
        return web.Response(status=self.statuses[request.path], text="<Response/>", content_type="text/xml")


@contextlib.asynccontextmanager
async def running(**statuses: int) -> AsyncIterator[Application]:
    application = Application({f"/{path.replace('_', '/')}": status for path, status in statuses.items()})
    server = web.Application()
    server.router.add_post("/{path:.*}", application.serve)
    runner = web.AppRunner(server)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    application.url = f"http://127.0.0.1:{port}"
    try:
        yield application
    finally:
        await runner.cleanup()


async def test_after_an_answer_the_fallback_is_not_called() -> None:
    async with running(sms=200) as application, TwilioClient(ACCOUNT, [application.url]) as twilio:
        exchange = await twilio.deliver(make_contact(0), HOURS)
    assert exchange.bodies == {b"<Response/>"}
    assert not exchange.used_fallback
    assert [path for path, _, _ in application.requests] == ["/sms"]


async def test_an_error_leads_to_the_fallback_without_a_second_attempt() -> None:
    async with (
        running(sms=500, sms_fallback=200) as application,
        TwilioClient(ACCOUNT, [application.url]) as twilio,
    ):
        exchange = await twilio.deliver(make_contact(0), HOURS)
    assert exchange.used_fallback
    assert len(exchange.answers) == len(exchange.failures) == 1
    assert [(path, code) for path, code, _ in application.requests] == [
        ("/sms", ""),
        ("/sms/fallback", "11200"),
    ]


async def test_the_second_attempt_goes_to_the_next_replica() -> None:
    unreachable = f"http://127.0.0.1:{free_port()}"
    async with (
        running(sms=200) as application,
        TwilioClient(ACCOUNT, [unreachable, application.url]) as twilio,
    ):
        exchange = await twilio.deliver(make_contact(0), HOURS)
    assert exchange.answers
    assert not exchange.used_fallback


async def test_without_any_replica_there_is_no_answer() -> None:
    async with TwilioClient(ACCOUNT, [f"http://127.0.0.1:{free_port()}"]) as twilio:
        exchange = await twilio.deliver(make_contact(0), HOURS)
    assert exchange.answers == []
    assert [failure.code for failure in exchange.failures] == [11205, 11205]


async def test_twice_delivers_one_message_two_times() -> None:
    async with running(sms=200) as application, TwilioClient(ACCOUNT, [application.url]) as twilio:
        exchange, _ = await asyncio.gather(
            twilio.deliver(make_contact(0), HOURS, twice=True), twilio.deliver(make_contact(1), HOURS)
        )
    assert len(exchange.answers) == 2
    assert len(application.requests) == 3
    assert len({token for _, _, token in application.requests}) == 3
