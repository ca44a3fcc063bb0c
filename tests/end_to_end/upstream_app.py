"""A second application: Flask with Twilio's own library, which verifies the signature of each request."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from flask import Flask, Response, abort, redirect, request, session
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse
from werkzeug.wrappers import Response as AnyResponse

application = Flask(__name__)
application.secret_key = "the application's own secret"
validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])


@application.before_request
def verify_and_record() -> None:
    """Reject a request whose signature is wrong; append any other to the file named by REQUESTS."""
    signature = request.headers.get("X-Twilio-Signature", "")
    if not validator.validate(request.url, request.form, signature):
        abort(403)
    with Path(os.environ["REQUESTS"]).open("a") as requests:
        line = {
            "method": request.method,
            "url": request.url,
            "parameters": request.values.to_dict(),
            "headers": dict(request.headers),
        }
        requests.write(json.dumps(line) + "\n")


def twiml(*texts: str) -> Response:
    """Return TwiML with one message for each text."""
    answer = MessagingResponse()
    for text in texts:
        answer.message(text)
    return Response(str(answer), mimetype="application/xml")


@application.route("/votes", methods=["GET", "POST"])
def votes() -> Response:
    """Count a vote."""
    return twiml(f"Thanks for {request.values['Body']}.")


@application.post("/count")
def count() -> Response:
    """Count the messages of a contact in a cookie, as Twilio's tutorials do."""
    session["count"] = session.get("count", 0) + 1
    return twiml(f"Text number {session['count']}.")


@application.post("/backup")
def backup() -> Response:
    """Reply with the error of the primary URL."""
    return twiml(f"Backup: {request.form['ErrorCode']} of {request.form['ErrorUrl']}")


@application.post("/rich")
def rich() -> Response:
    """Reply with a sender, a picture, other recipients and a redirect."""
    answer = MessagingResponse()
    answer.message(from_="+12125550100").body("from New York")
    picture = answer.message("with a picture")
    picture.media("/owl.png")
    answer.message("for somebody else", to="+13105550123")
    answer.message("for somebody who opted out", to="+14155559999")
    answer.redirect("/votes", method="GET")
    return Response(str(answer), mimetype="text/xml")


@application.post("/fails")
def fails() -> Response:
    """Answer with 500."""
    return Response("Internal error", 500)


@application.post("/hangs")
def hangs() -> Response:
    """Answer after the router's deadline."""
    time.sleep(3)
    return twiml("too late")


@application.post("/moved")
def moved() -> AnyResponse:
    """Answer with an HTTP redirect."""
    return redirect("/votes", code=307)


@application.post("/plain")
def plain() -> Response:
    """Answer with plain text instead of TwiML."""
    return Response("plain text & nothing else", mimetype="text/plain")


@application.post("/silent")
def silent() -> Response:
    """Answer with 204."""
    return Response(status=204)
