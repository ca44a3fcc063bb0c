"""``/sandbox/phones``: texting as a phone, and what a phone received."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Self

from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.control.requests import BadRequestError, read_json
from sms_router.sandbox.inbound.session import TextResult, receive_text
from sms_router.sandbox.inbound.webhook_parameters import IncomingText
from sms_router.sandbox.rest.responses import Resource
from sms_router.sandbox.sending.outbound import MAX_BODY, MAX_MEDIA
from sms_router.sandbox.state.messages import Message, SandboxMessageStatus
from sms_router.sandbox.state.phones import ReceivedMessage
from sms_router.sandbox.world.numbers import can_be_from, is_e164
from sms_router.sandbox.world.types import CarrierName, DefinedNames, HttpUrl
from sms_router.sandbox.world.world import Phone, PhoneState
from sms_router.toml import StrictModel

Json = dict[str, object]

REPLY_TIMEOUT = 5.0
"""Seconds of real time that a text waits for its replies; later ones are shown by the phone alone."""

MAX_RECENT = 1000
"""The newest messages of the account, among which those that are on the way to a phone are looked for."""

_ON_THE_WAY = {SandboxMessageStatus.ACCEPTED, SandboxMessageStatus.QUEUED, SandboxMessageStatus.SENT}


class _PhoneChange(StrictModel):
    state: PhoneState | None = None
    carrier: CarrierName | None = None


class _Text(StrictModel):
    to: str
    body: Annotated[str, Field(max_length=MAX_BODY)] = ""
    media: Annotated[tuple[HttpUrl, ...], Field(max_length=MAX_MEDIA)] = ()
    other_recipients: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    """Of a group MMS."""
    wait: bool = True
    """Until the replies have arrived."""

    @model_validator(mode="after")
    def _has_content(self) -> Self:
        if not self.body and not self.media:
            raise ValueError("the message is empty; add 'body' or 'media'")
        return self


class PhoneRoutes(Resource):
    """Phones over HTTP: those that the configuration lists, and any other E.164 number."""

    def routes(self) -> list[Route]:
        return [
            Route("/sandbox/phones", self.list_all, methods=["GET"]),
            Route("/sandbox/phones/{number}", self.show, methods=["GET"]),
            Route("/sandbox/phones/{number}", self.change, methods=["POST"]),
            Route("/sandbox/phones/{number}/messages", self.send, methods=["POST"]),
        ]

    async def list_all(self, _: Request) -> Response:
        """Return the phones that the configuration lists, in their present state."""
        return JSONResponse({"phones": [_phone(phone) for phone in self._platform.phonebook.listed]})

    async def show(self, request: Request) -> Response:
        """Return what a phone received, oldest first, what did not reach it, and what is on the way."""
        number = _sender(request)
        phone = self._platform.phonebook.phone(number)
        return JSONResponse({**_phone(phone), **self._messages(number)})

    async def change(self, request: Request) -> Response:
        phonebook, number = self._platform.phonebook, _number(request)
        body = await read_json(request, _PhoneChange, DefinedNames(carriers=tuple(phonebook.carriers)))
        carrier = phonebook.carriers[body.carrier] if body.carrier else None
        return JSONResponse(_phone(phonebook.change(number, body.state, carrier)))

    async def send(self, request: Request) -> Response:
        """Text as a phone, wait for the replies, and return them with the webhook's requests."""
        text, is_patient = await self._read_text(request)
        result = await receive_text(self._platform, text)
        if is_patient:
            await self._wait_for_replies(result)
        inbound = result.inbound
        return JSONResponse(
            {
                "sid": None if inbound.dropped else inbound.message.sid,
                "webhook": {
                    "outcome": result.outcome.value,
                    "requests": [
                        {**asdict(exchange), "method": exchange.method.value} for exchange in result.exchanges
                    ],
                },
                **self._messages(inbound.message.sender or "", result.sids),
                "by_twilio": [
                    *(shown.sid for shown in result.network_replies),
                    *(accepted.message.sid for accepted in result.twilio_replies),
                ],
            },
            201,
        )

    async def _wait_for_replies(self, result: TextResult) -> None:
        if isinstance(self._platform.clock, ManualClock):
            # a slow carrier's replies do not arrive before the clock is advanced
            await self._platform.time_control.wait_until_idle(REPLY_TIMEOUT)
        elif result.sent:
            await asyncio.wait([accepted.arrival for accepted in result.sent], timeout=REPLY_TIMEOUT)

    async def _read_text(self, request: Request) -> tuple[IncomingText, bool]:
        """Return a text, and whether its replies are waited for."""
        sender, body = _sender(request), await read_json(request, _Text)
        account = self._platform.account
        number = account.number_at(body.to)
        if number is None:
            known = ", ".join(number.address for number in account.numbers)
            raise BadRequestError(
                f"'to' is {body.to!r}, which is not one of the account's numbers: {known}.", 404
            )
        if number.is_porting:
            raise BadRequestError(f"{body.to} is not ported yet: its former carrier gets the text.", 409)
        state = self._platform.phonebook.phone(sender).state
        if state is not PhoneState.ON:
            raise BadRequestError(f"{sender} is {state.value}; such a phone sends nothing.", 409)
        return IncomingText(sender, number, body.body, body.media, body.other_recipients), body.wait

    def _messages(self, number: str, only: Set[str] | None = None) -> Json:
        """Return the messages that a phone received, missed and will get; ``only`` those with these sids."""
        inbox, store = self._platform.inboxes.get(number), self._platform.messages
        recent = islice(store.newest_first(), MAX_RECENT)
        on_the_way = [
            message for message in recent if message.recipient == number and message.status in _ON_THE_WAY
        ]
        missed = [message for sid in inbox.missed if (message := store.get(sid))]
        received = []
        for shown in inbox.received:
            message = store.get(shown.sid)
            status = message.status.value if message else None
            received.append(_content(shown) | {"received_at": shown.received.isoformat(), "status": status})
        lists = {
            "messages": received,
            "undelivered": [_content(message) | _outcome(message) for message in missed],
            "on_the_way": [_content(message) | _outcome(message) for message in reversed(on_the_way)],
        }
        return {
            name: [message for message in messages if only is None or message["sid"] in only]
            for name, messages in lists.items()
        }


def _number(request: Request) -> str:
    number = str(request.path_params["number"])
    if not is_e164(number):
        raise BadRequestError(f"{number!r} is not a phone's number; write it in E.164, such as +14155550123.")
    return number


def _sender(request: Request) -> str:
    """Return who texts: a phone, or a short code, a name or no number, which get no reply (facts 11)."""
    sender = str(request.path_params["number"])
    if not can_be_from(sender):
        raise BadRequestError(
            f"{sender!r} is not a sender; write a phone number in E.164, such as +14155550123, a short code,"
            " or a name of up to 11 letters and digits."
        )
    return sender


def _content(message: Message | ReceivedMessage) -> Json:
    return {
        "sid": message.sid,
        "from": message.sender,
        "body": message.body,
        "media": list(message.media),
    }


def _outcome(message: Message) -> Json:
    return {"status": message.status.value, "error_code": message.error_code}


def _phone(phone: Phone) -> Json:
    return {"number": phone.number, "carrier": phone.carrier.name, "state": phone.state.value}
