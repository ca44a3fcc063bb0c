"""The account's ``Messages`` and their ``Media`` (facts 6.2)."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import md5

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sms_router.sandbox.platform import Platform
from sms_router.sandbox.rest.paging import classic_list
from sms_router.sandbox.rest.parameters import (
    Form,
    Reader,
    invalid,
    one_of,
    read_flag,
    read_form,
    read_status_callback,
    read_time,
    whole_number,
)
from sms_router.sandbox.rest.responses import Json, Resource, not_found, rfc2822
from sms_router.sandbox.sending.callbacks import API_VERSION
from sms_router.sandbox.sending.outbound import MessageDraft
from sms_router.sandbox.state.messages import Direction, Message, SandboxMessageStatus
from sms_router.sandbox.world.errors import UNDELIVERED, ApiRejection, RejectedError, rejection

_OPTIONS: dict[str, tuple[str, Reader]] = {
    "StatusCallback": ("status_callback", read_status_callback),
    "SmartEncoded": ("smart_encoded", read_flag),
    "ValidityPeriod": ("validity_period", whole_number(1, 36000)),
    "ContentRetention": ("content_retention", one_of("retain", "discard")),
    "AddressRetention": ("address_retention", one_of("retain", "obfuscate")),
}
"""Options of a new message; the sandbox applies the first two (facts 6.2)."""

_COMPLETE_AFTER = timedelta(days=14)

_CANCELABLE = frozenset(
    {SandboxMessageStatus.SCHEDULED, SandboxMessageStatus.ACCEPTED, SandboxMessageStatus.QUEUED}
)
_WITHOUT_SEGMENTS = frozenset({SandboxMessageStatus.SCHEDULED, SandboxMessageStatus.ACCEPTED})


@dataclass(frozen=True, slots=True)
class MessageMedia:
    """One picture or file of a message."""

    sid: str
    url: str
    message: Message


class MessagesResource(Resource):
    """Messages, sent and received, and their media, of which the sandbox stores the URLs, not the content."""

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        self._messages = platform.messages
        self._base = f"/2010-04-01/Accounts/{platform.account.sid}/Messages"

    def routes(self) -> list[Route]:
        one, media = f"{self._base}/{{sid}}.json", f"{self._base}/{{sid}}/Media"
        return [
            Route(f"{self._base}.json", self.list_all, methods=["GET"]),
            Route(f"{self._base}.json", self.create, methods=["POST"]),
            Route(one, self.fetch, methods=["GET"]),
            Route(one, self.update, methods=["POST"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{media}.json", self.list_media, methods=["GET"]),
            Route(f"{media}/{{media_sid}}.json", self.fetch_media, methods=["GET"]),
            Route(f"{media}/{{media_sid}}.json", self.delete_media, methods=["DELETE"]),
            Route(f"{media}/{{media_sid}}", self.redirect_to_media, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        form = await read_form(request)
        if form.get("ContentSid"):
            raise invalid("ContentSid is not supported by the sandbox")
        options = form.changes(_OPTIONS)
        draft = MessageDraft(
            recipient=form.get("To") or "",
            sender=form.get("From") or None,
            service_sid=form.get("MessagingServiceSid") or None,
            body=form.get("Body") or "",
            media=form.all("MediaUrl"),
            smart_encoded=options.get("smart_encoded", False),
        )
        callback = options.get("status_callback", "")
        accepted = self._platform.outbound.send(draft, Direction.API, callback, _send_at(form, draft))
        if isinstance(accepted, ApiRejection):
            raise RejectedError(accepted)
        return JSONResponse(self._render(accepted.message), 201)

    async def list_all(self, request: Request) -> Response:
        matching = (message for message in self._messages.newest_first() if _matches(message, request))
        return classic_list(request, "messages", matching, self._render)

    async def fetch(self, request: Request) -> Response:
        return JSONResponse(self._render(self._find(request)))

    async def update(self, request: Request) -> Response:
        """Cancel a message that has not been sent, or delete the text of one that has."""
        form = await read_form(request)
        message = self._find(request)
        if form.get("Status"):
            one_of("canceled")("Status", form.get("Status") or "")
            message = self._cancel(message)
        if form.get("Body") is not None:
            message = self._redact(message, form.get("Body") or "")
        self._messages.put(message)
        return JSONResponse(self._render(message))

    async def delete(self, request: Request) -> Response:
        message = self._find(request)
        if not self._is_complete(message):
            raise RejectedError(rejection(20009, verb="delete"))
        self._messages.remove(message.sid)
        return Response(status_code=204)

    async def list_media(self, request: Request) -> Response:
        return classic_list(request, "media_list", _media_of(self._find(request)), self._render_media)

    async def fetch_media(self, request: Request) -> Response:
        return JSONResponse(self._render_media(self._find_media(request)))

    async def redirect_to_media(self, request: Request) -> Response:
        """Lead to the content, as Twilio leads to its storage."""
        return RedirectResponse(self._find_media(request).url, 307)

    async def delete_media(self, request: Request) -> Response:
        media = self._find_media(request)
        rest = tuple(other.url for other in _media_of(media.message) if other.sid != media.sid)
        self._messages.put(replace(media.message, media=rest, updated=self._clock.now()))
        return Response(status_code=204)

    def _cancel(self, message: Message) -> Message:
        if message.status not in _CANCELABLE:
            raise RejectedError(rejection(30409, sid=message.sid))
        return self._platform.delivery.cancel(message)

    def _redact(self, message: Message, body: str) -> Message:
        if body:
            raise invalid("Body can only be emptied")
        if not self._is_complete(message):
            raise RejectedError(rejection(20009, verb="redact"))
        return replace(message, body="", updated=self._clock.now())

    def _is_complete(self, message: Message) -> bool:
        """A sent message whose carrier sends no receipt is complete after 14 days (facts 11)."""
        if message.status is SandboxMessageStatus.SENT:
            return self._clock.now() - (message.sent or message.created) >= _COMPLETE_AFTER
        return message.status.is_final

    def _find(self, request: Request) -> Message:
        message = self._messages.get(request.path_params["sid"])
        if message is None:
            raise not_found(request)
        return message

    def _render(self, message: Message) -> Json:
        uri = f"{self._base}/{message.sid}"
        return {
            "sid": message.sid,
            "account_sid": self._account.sid,
            "messaging_service_sid": message.service_sid,
            "api_version": API_VERSION,
            "body": message.body,
            "from": message.sender,
            "to": message.recipient,
            "direction": message.direction.value,
            "status": message.status.value,
            "error_code": message.error_code,
            "error_message": UNDELIVERED.get(message.error_code or 0),
            "num_media": str(len(message.media)),
            "num_segments": str(0 if message.status in _WITHOUT_SEGMENTS else message.segments),
            "price": None,
            "price_unit": "USD",
            "date_created": rfc2822(message.created),
            "date_updated": rfc2822(message.updated),
            "date_sent": rfc2822(message.sent),
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "uri": f"{uri}.json",
        }

    def _find_media(self, request: Request) -> MessageMedia:
        for media in _media_of(self._find(request)):
            if media.sid == request.path_params["media_sid"]:
                return media
        raise not_found(request)

    def _render_media(self, media: MessageMedia) -> Json:
        message = media.message
        return {
            "sid": media.sid,
            "account_sid": self._account.sid,
            "parent_sid": message.sid,
            "content_type": mimetypes.guess_type(media.url)[0] or "image/jpeg",
            "date_created": rfc2822(message.created),
            "date_updated": rfc2822(message.created),
            "uri": f"{self._base}/{message.sid}/Media/{media.sid}.json",
        }


def _media_of(message: Message) -> Iterator[MessageMedia]:
    """Yield the media of a message; the sid of one is the same in each run."""
    for url in dict.fromkeys(message.media):
        digest = md5(f"{message.sid} {url}".encode(), usedforsecurity=False).hexdigest()
        yield MessageMedia(f"ME{digest}", url, message)


def _send_at(form: Form, draft: MessageDraft) -> datetime | None:
    """Return when a scheduled message is sent; only a Service can schedule."""
    if not form.get("ScheduleType"):
        return None
    one_of("fixed")("ScheduleType", form.get("ScheduleType") or "")
    if draft.service_sid is None:
        raise invalid("ScheduleType needs a MessagingServiceSid")
    return read_time("SendAt", form.required("SendAt"))


def _matches(message: Message, request: Request) -> bool:
    query = request.query_params
    if query.get("To") not in (None, "", message.recipient):
        return False
    if query.get("From") not in (None, "", message.sender):
        return False
    bounds = {name: query[name] for name in ("DateSent", "DateSent<", "DateSent>") if query.get(name)}
    return all(_is_within(message.sent, name, read_time(name, text)) for name, text in bounds.items())


def _is_within(sent: datetime | None, name: str, bound: datetime) -> bool:
    if sent is None:
        return False
    if name == "DateSent<":
        return sent <= bound
    if name == "DateSent>":
        return sent >= bound
    return timedelta() <= sent - bound < timedelta(days=1)
