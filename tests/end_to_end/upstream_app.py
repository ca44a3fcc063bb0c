"""The application that a team had before: Flask with the official library, which checks each signature."""

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
application.secret_key = "a secret of the application's own"
validator = RequestValidator(os.environ["TWILIO_AUTH_TOKEN"])


@application.before_request
def check() -> None:
    """Refuse what Twilio has not signed, and write down what it has."""
    signature = request.headers.get("X-Twilio-Signature", "")
    if not validator.validate(request.url, request.form, signature):
        abort(403)
    with Path(os.environ["ASKED"]).open("a") as asked:
        line = {
            "method": request.method,
            "url": request.url,
            "parameters": request.values.to_dict(),
            "headers": dict(request.headers),
        }
        asked.write(json.dumps(line) + "\n")


def says(*texts: str) -> Response:
    """Answer with messages."""
    answer = MessagingResponse()
    for text in texts:
        answer.message(text)
    return Response(str(answer), mimetype="application/xml")


@application.route("/votes", methods=["GET", "POST"])
def votes() -> Response:
    """Count a vote."""
    return says(f"Thanks for {request.values['Body']}.")


@application.post("/count")
def count() -> Response:
    """Count the texts of a conversation in a cookie, as Twilio's tutorials do."""
    session["count"] = session.get("count", 0) + 1
    return says(f"Text number {session['count']}.")


@application.post("/backup")
def backup() -> Response:
    """Stand in for the application that failed."""
    return says(f"The backup speaks: {request.form['ErrorCode']} of {request.form['ErrorUrl']}")


@application.post("/rich")
def rich() -> Response:
    """Answer with everything that messages can have."""
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
    """Fail."""
    return Response("Internal error", 500)


@application.post("/hangs")
def hangs() -> Response:
    """Take longer than anybody waits."""
    time.sleep(3)
    return says("too late")


@application.post("/moved")
def moved() -> AnyResponse:
    """Be somewhere else."""
    return redirect("/votes", code=307)


@application.post("/plain")
def plain() -> Response:
    """Answer with text alone."""
    return Response("plain text & nothing else", mimetype="text/plain")


@application.post("/silent")
def silent() -> Response:
    """Say nothing."""
    return Response(status=204)
