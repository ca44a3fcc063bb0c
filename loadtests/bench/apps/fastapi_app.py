"""A FastAPI application as in tutorials: parameters by annotation, signature, keyword, TwiML."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import FastAPI, Form, Request, Response
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse

from loadtests.bench.keywords import DEFAULT_REPLY, REPLIES

validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])
application = FastAPI()


@application.post("/sms")
async def sms(
    request: Request,
    body: Annotated[str, Form(alias="Body")],
    city: Annotated[str, Form(alias="FromCity")] = "",
) -> Response:
    """Answer one message."""
    signature = request.headers.get("X-Twilio-Signature", "")
    if not validator.validate(str(request.url), await request.form(), signature):
        return Response(status_code=403)
    words = body.split()
    text = REPLIES.get(words[0].upper() if words else "", DEFAULT_REPLY)
    answer = MessagingResponse()
    answer.message(text.format(city=city))
    return Response(str(answer), media_type="application/xml")


@application.get("/readyz")
async def readyz() -> str:
    """Return when the server is up."""
    return "ready"
