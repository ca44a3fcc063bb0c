"""``Messages/{sid}/Media``: list, fetch and delete the pictures and files of a message."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import md5

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sms_router.sandbox.clock import Clock
from sms_router.sandbox.rest.paging import classic_list, paginate
from sms_router.sandbox.rest.responses import Json, not_found, rfc2822
from sms_router.sandbox.state.account import Account
from sms_router.sandbox.state.messages import Message, MessageStore


@dataclass(frozen=True, slots=True)
class MessageMedia:
    """One picture or file of a message."""

    sid: str
    url: str
    message: Message


class MediaResource:
    """The media of each message; the sandbox stores their URLs, not their content."""

    def __init__(self, account: Account, messages: MessageStore, clock: Clock) -> None:
        self._account = account
        self._messages = messages
        self._clock = clock
        self._base = f"/2010-04-01/Accounts/{account.sid}/Messages"

    def routes(self) -> list[Route]:
        base = f"{self._base}/{{message_sid}}/Media"
        return [
            Route(f"{base}.json", self.list_all, methods=["GET"]),
            Route(f"{base}/{{sid}}.json", self.fetch, methods=["GET"]),
            Route(f"{base}/{{sid}}.json", self.delete, methods=["DELETE"]),
            Route(f"{base}/{{sid}}", self.redirect, methods=["GET"]),
        ]

    async def list_all(self, request: Request) -> Response:
        page = paginate(_media_of(self._message(request)), request)
        return JSONResponse(classic_list(request, "media_list", page, self._render))

    async def fetch(self, request: Request) -> Response:
        return JSONResponse(self._render(self._find(request)))

    async def redirect(self, request: Request) -> Response:
        """Lead to the content, as Twilio leads to its storage."""
        return RedirectResponse(self._find(request).url, 307)

    async def delete(self, request: Request) -> Response:
        media = self._find(request)
        rest = tuple(other.url for other in _media_of(media.message) if other.sid != media.sid)
        self._messages.put(replace(media.message, media=rest, updated=self._clock.now()))
        return Response(status_code=204)

    def _message(self, request: Request) -> Message:
        message = self._messages.get(request.path_params["message_sid"])
        if message is None:
            raise not_found(request)
        return message

    def _find(self, request: Request) -> MessageMedia:
        for media in _media_of(self._message(request)):
            if media.sid == request.path_params["sid"]:
                return media
        raise not_found(request)

    def _render(self, media: MessageMedia) -> Json:
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
