"""The floor: read the body and answer with a constant. Every other program costs more."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

EMPTY_RESPONSE = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
HEADERS = [
    (b"content-type", b"application/xml"),
    (b"content-length", str(len(EMPTY_RESPONSE)).encode()),
]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request with an empty ``<Response/>``."""
    if scope["type"] != "http":
        raise NotImplementedError("only http; run with --lifespan off")
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": EMPTY_RESPONSE})
