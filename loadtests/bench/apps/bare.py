"""The bare application: the least code that verifies, claims, journals and answers a message once.

It exists for the benchmark, and uses the router's fastest parts: the form, the signature, the connection to
Valkey; and a dict of keywords, one script, one line of TwiML. It has one sender, no opt-outs, no fallback and
no deadline, and fails when Valkey fails. The difference to the router is the cost of everything else.
"""

from __future__ import annotations

import hmac
import os

from starlette.types import Receive, Scope, Send

from loadtests.bench.keywords import DEFAULT_REPLY, REPLIES
from loadtests.bench.setup import SHORT_CODE
from sms_router.store.connection import PipelinedConnection, connect
from sms_router.store.url import Address
from sms_router.twilio.form import Pairs, parse_form
from sms_router.twilio.signature import HmacKey, signed_text

STORE = """\
local answer = redis.call('HGET', KEYS[1], 'answer')
if answer then
  return answer
end
redis.call('HSET', KEYS[1], 'request', ARGV[1], 'answer', ARGV[2])
redis.call('PEXPIRE', KEYS[1], 604800000)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000000, '*', 'message', KEYS[1])
return ARGV[2]
"""
"""Stores a message with its answer, or returns the answer that is stored."""

TWIML = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    f'<Response><Message from="{SHORT_CODE}">{{text}}</Message></Response>'
)

_key = HmacKey(os.environ["TWILIO_AUTH_TOKEN"].encode(), "sha1")
_url = f"{os.environ['PUBLIC_URL']}/sms".encode()


class BareApplication:
    """The application (ASGI)."""

    def __init__(self) -> None:
        """Connect at the first request, because there is no lifespan."""
        self._connection: PipelinedConnection | None = None
        self._script = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a message, or, on any other path, that it is ready."""
        if scope["path"] != "/sms":
            await self._connect()
            await _send(send, 200, b"ready")
            return
        raw = (await receive())["body"]
        form = parse_form(raw)
        if not _is_signed(scope, form):
            await _send(send, 403, b"")
            return
        parameters = dict(form)
        answer = TWIML.format(text=_reply(parameters)).encode()
        connection = self._connection or await self._connect()
        keys = (parameters["MessageSid"], "journal")
        await _send(send, 200, await connection.send(("EVALSHA", self._script, 2, *keys, raw, answer)))

    async def _connect(self) -> PipelinedConnection:
        connection = await connect(Address.parse(os.environ["REDIS_URL"]), lambda _: None)
        self._script = await connection.send(("SCRIPT", "LOAD", STORE))
        self._connection = connection
        return connection


def _is_signed(scope: Scope, form: Pairs) -> bool:
    given: bytes = dict(scope["headers"]).get(b"x-twilio-signature", b"")
    return hmac.compare_digest(_key.base64(_url + signed_text(form)), given)


def _reply(parameters: dict[str, str]) -> str:
    words = parameters["Body"].split()
    text = REPLIES.get(words[0].upper() if words else "", DEFAULT_REPLY)
    return text.format(city=parameters["FromCity"])


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/xml"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


application = BareApplication()
