"""Requests that no client means: each gets one answer, or none, and the next text gets its own."""

from __future__ import annotations

import socket
from urllib.parse import urlencode

import pytest

from tests.end_to_end.conftest import StartRouter
from tests.end_to_end.router_process import PUBLIC, RouterProcess, signature, webhook

NINES = "9" * 400


def text(
    target: str = "/sms", more: str = "", *, signed: str = "", version: str = "1.1", length: str = ""
) -> bytes:
    """Return a text as it goes over the wire, signed for ``signed`` or its target."""
    parameters = webhook()
    body = urlencode(parameters).encode()
    return (
        f"POST {target} HTTP/{version}\r\nHost: sms.example.com\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"X-Twilio-Signature: {signature(PUBLIC + (signed or target), parameters)}\r\n{more}"
        f"Content-Length: {length or len(body)}\r\n\r\n"
    ).encode("latin-1") + body


def chunked(trailer: str = "", more: str = "") -> bytes:
    """Return a text in chunks of a hundred bytes."""
    head, _, body = text(more=f"Transfer-Encoding: chunked\r\n{more}").partition(b"\r\n\r\n")
    head = head[: head.rindex(b"\r\nContent-Length")]
    pieces = (body[start : start + 100] for start in range(0, len(body), 100))
    whole = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"\r\n\r\n" + whole + f"0\r\n{trailer}\r\n".encode()


ODD: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "double slash": (text("//sms"), (404,)),
    "slash behind": (text("/sms/"), (404,)),
    "dots": (text("/x/../sms"), (404,)),
    "escaped slash": (text("/sms%2f"), (404,)),
    "escaped dot": (text("/sms%2e"), (404,)),
    "escaped line end": (text("/sms%0d%0aX:y"), (404,)),
    "no UTF-8": (text("/sms%ff"), (404,)),
    "escaped letter, signed as it came": (text("/%73ms"), (200,)),
    "escaped letter, signed as it is meant": (text("/%73ms", signed="/sms"), (403,)),
    "absolute": (text("http://elsewhere.example/sms", signed="/sms"), (200,)),
    "bytes beyond ASCII": (text("/sms\xe9"), (400,)),
    "tab": (text("/sms\tx"), (400,)),
    "three texts at once": (text() + text() + text(), (200, 200, 200)),
    "a forgery between texts": (text() + text(signed="/x") + text(), (200, 403, 200)),
    "HTTP/1.0": (text(version="1.0"), (200,)),
    "HTTP/1.2": (text(version="1.2"), (400,)),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400,)),
    "two lengths": (text(more="Content-Length: 3\r\n"), (400,)),
    "length and chunks": (chunked(more="Content-Length: 4\r\n"), (400,)),
    "an encoding that is none": (text(more="Transfer-Encoding: xchunked\r\n"), (400,)),
    "a length below nothing": (text(length="-1"), (400,)),
    "a length of 400 digits": (text(length=NINES), (400,)),
    "a chunk of 400 digits": (chunked().split(b"\r\n\r\n")[0] + f"\r\n\r\n{NINES}\r\n".encode(), (400,)),
    "chunks": (chunked(), (200,)),
    "a signature behind the body": (chunked("X-Twilio-Signature: abc\r\n"), (403,)),
    "two signatures": (text(more="X-Twilio-Signature: abc\r\n"), (403,)),
    "two media types": (text(more="Content-Type: text/plain\r\n"), (415,)),
    "five thousand headers": (text(more="X: y\r\n" * 5000), (200,)),
    "a folded header": (text(more="X: a\r\n b\r\n"), (400,)),
    "a blank before the colon": (text(more="X : a\r\n"), (400,)),
    "a NUL": (text(more="X: a\0b\r\n"), (400,)),
    "line feeds alone": (text().replace(b"\r\n", b"\n"), (400,)),
    "an expectation": (text(more="Expect: 100-continue\r\n"), (100, 200)),
    "a method of its own": (text().replace(b"POST", b"JUMP", 1), (400,)),
    "a query of 400 digits": (f"GET /sms?MessageSid={NINES} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), (403,)),
}


def statuses(router: RouterProcess, sent: bytes) -> tuple[int, ...]:
    """Send bytes and then a request that closes; return the statuses of what was asked before it."""
    closing = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = b""
    with socket.create_connection(("127.0.0.1", router.port), timeout=20) as connection:
        connection.sendall(sent + closing)
        try:
            while piece := connection.recv(65_536):
                received += piece
        except ConnectionError:
            pass
    found = [int(each[:3]) for each in received.split(b"HTTP/1.1 ")[1:]]
    return tuple(found[:-1] if received.endswith(b'{"status":"alive"}') else found)


async def test_every_odd_request_gets_its_own_answer_and_no_other(start_router: StartRouter) -> None:
    router = start_router()
    found = {name: statuses(router, sent) for name, (sent, _) in ODD.items()}
    assert found == {name: expected for name, (_, expected) in ODD.items()}
    assert (await router.deliver(webhook())).status == 200
    assert "Traceback" not in router.log


@pytest.mark.parametrize("form", ["text", "json"])
async def test_what_a_signed_request_says_forges_no_line_of_the_log(
    start_router: StartRouter, form: str
) -> None:
    router = start_router(f'[server]\nlogs = "{form}"')
    forged = "+1415\r\n00:00:00 ERROR   all is lost\x1b[2J\u2028\u202e"
    odd: tuple[dict[str, str], ...] = ({"To": forged}, {"MessageSid": forged}, {"From": forged})
    for changed in odd:
        answer = await router.deliver({**webhook("BOOM"), **changed})
        assert answer.status in (200, 400)
    fallback = await router.deliver(webhook(), path="/sms/fallback", headers={"User-Agent": "a\x80b"})
    assert fallback.status == 200
    status = await router.deliver({**webhook(MessageStatus=forged), "ErrorCode": NINES}, path="/sms/status")
    assert status.status == 204
    lines = router.log.split("\n")
    assert not [line for line in lines if line.startswith("00:00:00")]
    assert not {"\x1b", "\r", "\u2028", "\u202e"} & set(router.log)
