"""A Flask application as in Twilio's tutorials: signature, keyword, TwiML."""

from __future__ import annotations

import os

from flask import Flask, Response, request
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse

from loadtests.bench.keywords import DEFAULT_REPLY, REPLIES

validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])
application = Flask(__name__)


@application.post("/sms")
def sms() -> Response:
    """Answer one message."""
    form = request.form
    signature = request.headers.get("X-Twilio-Signature", "")
    if not validator.validate(request.url, form, signature):
        return Response(status=403)
    words = form["Body"].split()
    text = REPLIES.get(words[0].upper() if words else "", DEFAULT_REPLY)
    answer = MessagingResponse()
    answer.message(text.format(city=form["FromCity"]))
    return Response(str(answer), mimetype="application/xml")


@application.get("/readyz")
def readyz() -> str:
    """Return when the server is up."""
    return "ready"
