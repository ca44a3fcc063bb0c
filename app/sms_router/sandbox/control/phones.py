"""``/sandbox/phones``: texting as a phone, and looking at what it received."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Set

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.control.json_body import BadRequestError, allow_keys, read_object, text, texts
from sms_router.sandbox.inbound.incoming_text import Texted
from sms_router.sandbox.inbound.incoming_text import receive_text as text_as_phone
from sms_router.sandbox.inbound.session import WebhookExchange
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.platform import Platform
from sms_router.sandbox.sending.validation import LONGEST_BODY, MOST_MEDIA
from sms_router.sandbox.state.messages import Received
from sms_router.sandbox.world.numbers import is_e164
from sms_router.sandbox.world.world import Carrier, Phone, PhoneState

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
            Route("/sandbox/phones/{number}", self.change, methods=["POST"]),
            Route("/sandbox/phones/{number}/messages", self.send, methods=["POST"]),
        ]

    async def list_all(self, _: Request) -> Response:
        """Return the phones that the configuration lists, as they are now."""
        return JSONResponse({"phones": [_described(phone) for phone in self._platform.phonebook.listed]})

    async def show(self, request: Request) -> Response:
        """Return what a phone received, oldest first, and what did not reach it."""
        number = _number(request)
        phone = self._platform.phonebook.phone(number)
        return JSONResponse({**_described(phone), **self._screen(number)})

    async def change(self, request: Request) -> Response:
        """Switch a phone off or on, or move it to another carrier."""
        number, values = _number(request), await read_object(request)
        allow_keys(values, ("state", "carrier"), "The phone")
        phone = self._platform.phonebook.change(number, _state(values), self._carrier(values))
        return JSONResponse(_described(phone))

    async def send(self, request: Request) -> Response:
        """Text as a phone, let Twilio ask the application, and return what came of it."""
        texted = await text_as_phone(self._platform, await self._typed(request))
        await self._arrived(texted)
        inbound = texted.inbound
        return JSONResponse(
            {
                "sid": None if inbound.dropped else inbound.message.sid,
                "webhook": {
                    "outcome": texted.outcome.value,
                    "requests": [_asked(exchange) for exchange in texted.exchanges],
                },
                **self._screen(inbound.message.sender or "", texted.sids),
            },
            201,
        )

    async def _arrived(self, texted: Texted) -> None:
        """Wait for the answers, unless a clock that stands still keeps them on their way."""
        if isinstance(self._platform.clock, ManualClock):
            await self._platform.pace.wait_until_idle(LONGEST_WAIT_FOR_REPLIES)
        elif texted.sent:
            arrivals = [accepted.arrival for accepted in texted.sent]
            await asyncio.wait(arrivals, timeout=LONGEST_WAIT_FOR_REPLIES)

    async def _typed(self, request: Request) -> IncomingText:
        sender = _number(request)
        values = await read_object(request)
        allow_keys(values, ("to", "body", "media"), "The message")
        to, body, media = text(values, "to"), text(values, "body", ""), texts(values, "media")
        number = self._platform.account.number_at(to)
        if number is None:
            ours = ", ".join(number.address for number in self._platform.account.numbers)
            raise BadRequestError(f"'to' is {to!r}, which is not one of the account's numbers: {ours}.", 404)
        if number.porting:
            raise BadRequestError(f"{to} is not ported yet: its former carrier gets the text.", 409)
        _check_content(body, media)
        if self._platform.account.number_at(sender) is not None:
            raise BadRequestError(f"{sender} is one of the account's numbers, not somebody's phone.", 409)
        state = self._platform.phonebook.phone(sender).state
        if state is not PhoneState.ON:
            raise BadRequestError(f"{sender} is {state.value}; such a phone texts nobody.", 409)
        return IncomingText(sender, number, body, media)

    def _carrier(self, values: Mapping[str, object]) -> Carrier | None:
        if "carrier" not in values:
            return None
        name, known = text(values, "carrier"), self._platform.phonebook.carriers
        if name not in known:
            raise BadRequestError(f"There is no carrier {name!r}; known: {', '.join(known)}.")
        return known[name]

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
        raise BadRequestError(f"{number!r} is not a phone's number; write it in E.164, such as +14155550123.")
    return number


def _state(values: Mapping[str, object]) -> PhoneState | None:
    if "state" not in values:
        return None
    states = {state.value: state for state in PhoneState}
    word = text(values, "state")
    if word not in states:
        raise BadRequestError(f"'state' is {word!r}; known: {', '.join(states)}.")
    return states[word]


def _described(phone: Phone) -> Json:
    return {"number": phone.number, "carrier": phone.carrier.name, "state": phone.state.value}


def _check_content(body: str, media: tuple[str, ...]) -> None:
    if not body and not media:
        raise BadRequestError("Write a 'body', or add 'media'.")
    if len(body) > LONGEST_BODY:
        raise BadRequestError(f"'body' is longer than {LONGEST_BODY} characters.")
    if len(media) > MOST_MEDIA:
        raise BadRequestError(f"'media' has more than {MOST_MEDIA} URLs.")
    for url in media:
        if not re.match("https?://[^/]", url):
            raise BadRequestError(f"'media' holds {url!r}, which is not an http or https URL.")


def _asked(exchange: WebhookExchange) -> Json:
    return {
        "url": exchange.url,
        "method": exchange.method.value,
        "status": exchange.status,
        "error_code": exchange.error_code,
        "reason": exchange.reason,
    }
