"""``/sandbox/phones``: texting as a phone, and looking at what it received."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Set

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.acceptance import LONGEST_BODY, MOST_MEDIA
from app.sandbox.control import MistakeError, allow_keys, read_object, text, texts
from app.sandbox.inbound import Text, receive
from app.sandbox.messages import Received
from app.sandbox.numbers import is_e164
from app.sandbox.platform import Platform
from app.sandbox.replies import Replies
from app.sandbox.session import Exchange, Session

Json = dict[str, object]

LONGEST_WAIT_FOR_REPLIES = 5.0
"""Seconds of real time; a slow carrier's messages are shown by the next look at the phone."""


class Phones:
    """The people's side of the sandbox."""

    def __init__(self, platform: Platform) -> None:
        """Serve every phone there is: those of the world, and any other E.164 number."""
        self._platform = platform

    def routes(self) -> list[Route]:
        """Return the paths of the phones."""
        return [
            Route("/sandbox/phones", self.list_all, methods=["GET"]),
            Route("/sandbox/phones/{number}", self.show, methods=["GET"]),
            Route("/sandbox/phones/{number}/messages", self.send, methods=["POST"]),
        ]

    async def list_all(self, _: Request) -> Response:
        """Return the phones that the configuration lists."""
        phones = self._platform.world.phones.values()
        return JSONResponse({"phones": [{"number": p.number, "carrier": p.carrier.name} for p in phones]})

    async def show(self, request: Request) -> Response:
        """Return what a phone received, oldest first, and what did not reach it."""
        number = _number(request)
        carrier = self._platform.world.phone(number).carrier
        return JSONResponse({"number": number, "carrier": carrier.name, **self._screen(number)})

    async def send(self, request: Request) -> Response:
        """Text as a phone, let Twilio ask the application, and return what came of it."""
        typed = await self._typed(request)
        here = self._platform
        inbound = receive(typed, here.account, here.identifiers, here.clock.now())
        if not inbound.dropped:
            here.messages.put(inbound.message)
        replies = Replies(inbound.message, here.account, here.alerts, here.outbound)
        session = Session(inbound, here.account.sid, here.client, replies)
        outcome = await session.run()
        await _arrived(replies)
        sids = {accepted.message.sid for accepted in replies.sent}
        return JSONResponse(
            {
                "sid": None if inbound.dropped else inbound.message.sid,
                "webhook": {
                    "outcome": outcome.value,
                    "requests": [_asked(exchange) for exchange in session.exchanges],
                },
                **self._screen(typed.sender, sids),
            },
            201,
        )

    async def _typed(self, request: Request) -> Text:
        sender = _number(request)
        values = await read_object(request)
        allow_keys(values, ("to", "body", "media"), "The message")
        to, body, media = text(values, "to"), text(values, "body", ""), texts(values, "media")
        number = self._platform.account.number_at(to)
        if number is None:
            ours = ", ".join(number.address for number in self._platform.account.numbers)
            raise MistakeError(f"'to' is {to!r}, which is none of the account's numbers: {ours}.", 404)
        _check_content(body, media)
        return Text(sender, number, body, media)

    def _screen(self, number: str, only: Set[str] | None = None) -> Json:
        """Return what a phone received and what it missed, of all messages or of some."""
        inbox = self._platform.handsets.inbox(number)
        return {
            "messages": [self._shown(m) for m in inbox.received if only is None or m.sid in only],
            "undelivered": self._missed(sid for sid in inbox.missed if only is None or sid in only),
        }

    def _shown(self, received: Received) -> Json:
        message = self._platform.messages.get(received.sid)
        return {
            "sid": received.sid,
            "from": received.sender,
            "body": received.body,
            "media": list(received.media),
            "received_at": received.at.isoformat(),
            "status": message.status.value if message else None,
        }

    def _missed(self, sids: Iterable[str]) -> list[Json]:
        messages = [message for sid in sids if (message := self._platform.messages.get(sid))]
        return [
            {
                "sid": message.sid,
                "from": message.sender,
                "body": message.body,
                "media": list(message.media),
                "status": message.status.value,
                "error_code": message.error_code,
            }
            for message in messages
        ]


def _number(request: Request) -> str:
    number = str(request.path_params["number"])
    if not is_e164(number):
        raise MistakeError(f"{number!r} is not a phone's number; write it in E.164, such as +14155550123.")
    return number


async def _arrived(replies: Replies) -> None:
    arrivals = [accepted.arrival for accepted in replies.sent]
    if arrivals:
        await asyncio.wait(arrivals, timeout=LONGEST_WAIT_FOR_REPLIES)


def _check_content(body: str, media: tuple[str, ...]) -> None:
    if not body and not media:
        raise MistakeError("Write a 'body', or add 'media'.")
    if len(body) > LONGEST_BODY:
        raise MistakeError(f"'body' is longer than {LONGEST_BODY} characters.")
    if len(media) > MOST_MEDIA:
        raise MistakeError(f"'media' has more than {MOST_MEDIA} URLs.")
    for url in media:
        if not re.match("https?://[^/]", url):
            raise MistakeError(f"'media' holds {url!r}, which is not an http or https URL.")


def _asked(exchange: Exchange) -> Json:
    return {
        "url": exchange.url,
        "method": exchange.method.value,
        "status": exchange.status,
        "error_code": exchange.error_code,
        "reason": exchange.reason,
    }
