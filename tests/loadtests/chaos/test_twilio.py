"""The caller behaves as Twilio does; real sockets, no router."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

from loadtests.chaos.twilio import Twilio
from loadtests.crowd.people import person
from loadtests.crowd.texts import HOURS
from loadtests.crowd.webhook import Account
from sms_router.sandbox.hosting import free_port

ACCOUNT = Account("AC" + "1" * 32, "a-token", "MG" + "1" * 32, "https://sms.example.com")


@dataclass
class Application:
    """Answers each path with a status, and keeps what it was asked."""

    statuses: dict[str, int]
    url: str = ""
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.Response:
        form = await request.post()
        token = request.headers["I-Twilio-Idempotency-Token"]
        self.asked.append((request.path, str(form.get("ErrorCode", "")), token))
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


async def test_an_answer_is_taken_and_the_fallback_left_alone() -> None:
    async with running(sms=200) as application, Twilio(ACCOUNT, [application.url]) as twilio:
        exchange = await twilio.deliver(person(0), HOURS)
    assert exchange.bodies == {b"<Response/>"}
    assert not exchange.fell_back
    assert [path for path, _, _ in application.asked] == ["/sms"]


async def test_an_error_leads_to_the_fallback_without_another_try() -> None:
    async with (
        running(sms=500, sms_fallback=200) as application,
        Twilio(ACCOUNT, [application.url]) as twilio,
    ):
        exchange = await twilio.deliver(person(0), HOURS)
    assert exchange.fell_back
    assert len(exchange.pages) == len(exchange.failures) == 1
    assert [(path, code) for path, code, _ in application.asked] == [("/sms", ""), ("/sms/fallback", "11200")]


async def test_who_cannot_be_reached_is_tried_once_more_and_the_next_replica_answers() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    async with running(sms=200) as application, Twilio(ACCOUNT, [nobody, application.url]) as twilio:
        exchange = await twilio.deliver(person(0), HOURS)
    assert exchange.pages
    assert not exchange.fell_back


async def test_where_nobody_answers_there_is_no_answer() -> None:
    async with Twilio(ACCOUNT, [f"http://127.0.0.1:{free_port()}"]) as twilio:
        exchange = await twilio.deliver(person(0), HOURS)
    assert exchange.pages == []
    assert [failure.code for failure in exchange.failures] == [11205, 11205]


async def test_twice_is_two_deliveries_of_one_message() -> None:
    async with running(sms=200) as application, Twilio(ACCOUNT, [application.url]) as twilio:
        exchange, _ = await asyncio.gather(
            twilio.deliver(person(0), HOURS, twice=True), twilio.deliver(person(1), HOURS)
        )
    assert len(exchange.pages) == 2
    assert len(application.asked) == 3
    assert len({token for _, _, token in application.asked}) == 3
