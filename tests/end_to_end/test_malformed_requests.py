"""Malformed requests over real sockets: each gets its own response, and so does the request that follows."""

from __future__ import annotations

import socket
from urllib.parse import urlencode

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import PUBLIC, RouterProcess, signature, webhook

NINES = "9" * 400


def request(
    target: str = "/sms", more: str = "", *, signed: str = "", version: str = "1.1", length: str = ""
) -> bytes:
    """Return the bytes of a webhook, signed for the path ``signed`` or else for its target."""
    parameters = webhook()
    body = urlencode(parameters).encode()
    return (
        f"POST {target} HTTP/{version}\r\nHost: sms.example.com\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"X-Twilio-Signature: {signature(PUBLIC + (signed or target), parameters)}\r\n{more}"
        f"Content-Length: {length or len(body)}\r\n\r\n"
    ).encode("latin-1") + body


def chunked(trailer: str = "", more: str = "") -> bytes:
    """Return the bytes of a webhook whose body has chunks of a hundred bytes."""
    head, _, body = request(more=f"Transfer-Encoding: chunked\r\n{more}").partition(b"\r\n\r\n")
    head = head[: head.rindex(b"\r\nContent-Length")]
    chunks = (body[start : start + 100] for start in range(0, len(body), 100))
    encoded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + b"\r\n\r\n" + encoded + f"0\r\n{trailer}\r\n".encode()


REQUESTS: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "double slash": (request("//sms"), (404,)),
    "slash at the end": (request("/sms/"), (404,)),
    "dots": (request("/x/../sms"), (404,)),
    "escaped slash": (request("/sms%2f"), (404,)),
    "escaped dot": (request("/sms%2e"), (404,)),
    "escaped line end": (request("/sms%0d%0aX:y"), (404,)),
    "not UTF-8": (request("/sms%ff"), (404,)),
    "escaped letter, signed as it is sent": (request("/%73ms"), (200,)),
    "escaped letter, signed as it is decoded": (request("/%73ms", signed="/sms"), (403,)),
    "absolute": (request("http://elsewhere.example/sms", signed="/sms"), (200,)),
    "bytes beyond ASCII": (request("/sms\xe9"), (400,)),
    "tab": (request("/sms\tx"), (400,)),
    "three pipelined requests": (request() + request() + request(), (200, 200, 200)),
    "a forged request between two others": (request() + request(signed="/x") + request(), (200, 403, 200)),
    "HTTP/1.0": (request(version="1.0"), (200,)),
    "HTTP/1.2": (request(version="1.2"), (400,)),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,)),
    "two lengths": (request(more="Content-Length: 3\r\n"), (400,)),
    "length and chunks": (chunked(more="Content-Length: 4\r\n"), (400,)),
    "an unknown encoding": (request(more="Transfer-Encoding: xchunked\r\n"), (400,)),
    "a negative length": (request(length="-1"), (400,)),
    "a length of 400 digits": (request(length=NINES), (400,)),
    "a chunk of 400 digits": (chunked().split(b"\r\n\r\n")[0] + f"\r\n\r\n{NINES}\r\n".encode(), (400,)),
    "chunks": (chunked(), (200,)),
    "a signature in the trailer": (chunked("X-Twilio-Signature: abc\r\n"), (403,)),
    "two signatures": (request(more="X-Twilio-Signature: abc\r\n"), (403,)),
    "two media types": (request(more="Content-Type: text/plain\r\n"), (415,)),
    "five thousand headers": (request(more="X: y\r\n" * 5000), (431,)),
    "a folded header": (request(more="X: a\r\n b\r\n"), (400,)),
    "a space before the colon": (request(more="X : a\r\n"), (400,)),
    "a NUL": (request(more="X: a\0b\r\n"), (400,)),
    "line feeds without carriage returns": (request().replace(b"\r\n", b"\n"), (400,)),
    "an expectation": (request(more="Expect: 100-continue\r\n"), (100, 200)),
    "an unknown method": (request().replace(b"POST", b"JUMP", 1), (400,)),
    "a query of 400 digits": (f"GET /sms?MessageSid={NINES} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), (403,)),
}


def statuses(router: RouterProcess, sent: bytes) -> tuple[int, ...]:
    """Send requests, then one that closes the connection; return the statuses of those before the last."""
    closing = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = b""
    with socket.create_connection(("127.0.0.1", router.port), timeout=20) as connection:
        connection.sendall(sent + closing)
        try:
            while data := connection.recv(65_536):
                received += data
        except ConnectionError:
            pass
    result = [int(response[:3]) for response in received.split(b"HTTP/1.1 ")[1:]]
    return tuple(result[:-1] if received.endswith(b'{"status":"alive"}') else result)


async def test_each_malformed_request_gets_its_own_response(start_router: StartRouter) -> None:
    router = start_router()
    actual = {name: statuses(router, sent) for name, (sent, _) in REQUESTS.items()}
    assert actual == {name: expected for name, (_, expected) in REQUESTS.items()}
    assert (await router.deliver(webhook())).status == 200
    assert "Traceback" not in router.log


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_a_signed_request_cannot_forge_a_line_of_the_log(
    start_router: StartRouter, log_format: str
) -> None:
    router = start_router(f'[server]\nlogs = "{log_format}"')
    forged = "+1415\r\n00:00:00 ERROR   all is lost\x1b[2J\u2028\u202e"
    changes: tuple[dict[str, str], ...] = ({"To": forged}, {"MessageSid": forged}, {"From": forged})
    for changed in changes:
        answer = await router.deliver({**webhook("BOOM"), **changed})
        assert answer.status in (200, 400)
    fallback = await router.deliver(webhook(), path="/sms/fallback", headers={"User-Agent": "a\x80b"})
    assert fallback.status == 200
    status = await router.deliver({**webhook(MessageStatus=forged), "ErrorCode": NINES}, path="/sms/status")
    assert status.status == 204
    lines = router.log.split("\n")
    assert not [line for line in lines if line.startswith("00:00:00")]
    assert not {"\x1b", "\r", "\u2028", "\u202e"} & set(router.log)
