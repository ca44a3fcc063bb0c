"""A small Starlette application: signature, keyword, TwiML."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse

from loadtests.bench.keywords import DEFAULT_REPLY, REPLIES

validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])


async def sms(request: Request) -> Response:
    """Answer one message."""
    form = await request.form()
    signature = request.headers.get("X-Twilio-Signature", "")
    if not validator.validate(str(request.url), form, signature):
        return Response(status_code=403)
    words = str(form["Body"]).split()
    text = REPLIES.get(words[0].upper() if words else "", DEFAULT_REPLY)
    answer = MessagingResponse()
    answer.message(text.format(city=form["FromCity"]))
    return Response(str(answer), media_type="application/xml")


async def readyz(_request: Request) -> Response:
    """Return when the server is up."""
    return PlainTextResponse("ready")


application = Starlette(routes=[Route("/sms", sms, methods=["POST"]), Route("/readyz", readyz)])
