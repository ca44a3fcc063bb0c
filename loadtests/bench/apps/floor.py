"""The floor: read the body, answer a constant. No program that does the work can cost less."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

NOTHING_TO_SAY = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
HEADERS = [
    (b"content-type", b"application/xml"),
    (b"content-length", str(len(NOTHING_TO_SAY)).encode()),
]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request with an empty ``<Response/>``."""
    if scope["type"] != "http":
        raise NotImplementedError("only http; run with --lifespan off")
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": NOTHING_TO_SAY})
