"""``/v1/messages``: sends messages that are no replies, for programs that have the token."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sms_router.routing.handler.outbound import Duplicate, OptedOut, Refused, Sent, Sms
from sms_router.routing.handler.reply import Reply
from sms_router.store.errors import StoreUnavailableError
from sms_router.web.http import Rejection, read_body, read_headers

_REPLY_FIELDS, _OPTIONS = {"text", "media", "sender"}, {"service", "key", "then", "state", "at", "urgent"}
_STATUS = {Sent: 202, Duplicate: 200, OptedOut: 409, Refused: 422}
_NAMES = {Sent: "sent", Duplicate: "duplicate", OptedOut: "opted_out", Refused: "refused"}

COMMAND = "sms-router send"
"""The User-Agent of the command."""


@dataclass(frozen=True, slots=True)
class MessagesApi:
    """Sends and cancels.

    Args:
        sms_for: sends, for whoever it is called with.
        token: what the Authorization header must contain.

    """

    sms_for: Callable[[str], Sms]
    token: str

    @property
    def routes(self) -> list[Route]:
        return [Route("/v1/messages", self.handle, methods=["POST", "DELETE"])]

    async def handle(self, request: Request) -> Response:
        """Send with POST, or cancel with DELETE what has a key and waits."""
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return _refuse(401, "the token is missing or wrong; send Authorization: Bearer ...")
        body = await read_body(read_headers(request.scope), request.receive)
        if isinstance(body, Rejection):
            return _refuse(body.status, body.word)
        try:
            fields = json.loads(body)
            if not isinstance(fields, dict) or not isinstance(fields.get("to"), str):
                raise TypeError("the body is a JSON object with to and text")
            if request.method == "DELETE":
                is_cancelled = await self.sms_for("").cancel(
                    fields["to"], str(fields["key"]), service=fields.get("service")
                )
                return JSONResponse({"cancelled": is_cancelled}, 200 if is_cancelled else 404)
            is_command = request.headers.get("user-agent") == COMMAND
            return await self._send(fields, COMMAND if is_command else "API")
        except StoreUnavailableError:
            return _refuse(503, "Redis does not serve; nothing was changed")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return _refuse(400, str(error))

    async def _send(self, fields: dict[str, Any], requester: str) -> Response:
        unknown = fields.keys() - _REPLY_FIELDS - _OPTIONS - {"to"}
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        options = {name: fields[name] for name in _OPTIONS & fields.keys()}
        if not isinstance(options.get("urgent", False), bool):
            raise TypeError("urgent is true or false")
        if isinstance(options.get("at"), str):
            options["at"] = datetime.fromisoformat(options["at"])
        reply = Reply(**{name: fields[name] for name in _REPLY_FIELDS & fields.keys()})
        result = await self.sms_for(requester).send(fields["to"], reply, **options)
        answer = {"result": _NAMES[type(result)]}
        if isinstance(result, Sent):
            answer |= {"sid": result.sid, "at": result.at.isoformat(timespec="seconds")}
        elif isinstance(result, Refused):
            answer["reason"] = result.reason
        return JSONResponse(answer, _STATUS[type(result)])


def _refuse(status: int, reason: str) -> Response:
    return JSONResponse({"result": "refused", "reason": reason}, status)
