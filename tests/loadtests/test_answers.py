import pytest

from loadtests.bench.answers import Answer, UnreadableAnswerError, find_fault, read_answer

BODY = b'<?xml version="1.0" encoding="UTF-8"?><Response><Message>Open 9 to 5</Message></Response>'


def response(
    body: bytes = BODY, status: str = "200 OK", content_type: str = "application/xml; charset=utf-8"
) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def complete(received: bytes) -> Answer:
    answer = read_answer(received)
    assert answer is not None
    return answer


@pytest.mark.parametrize("cut", range(0, len(response()), 7))
def test_an_incomplete_answer_is_none(cut: int) -> None:
    assert read_answer(response()[:cut]) is None


def test_a_complete_answer_is_split_at_the_blank_line() -> None:
    assert complete(response()).body == BODY


def test_an_answer_without_a_length_is_refused() -> None:
    with pytest.raises(UnreadableAnswerError):
        read_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "received",
    [
        response(),
        response(content_type="text/xml"),
        response(b"<Response><Message>Open 9 to 5</Message></Response>"),
    ],
)
def test_twiml_with_the_text_is_right(received: bytes) -> None:
    assert find_fault(complete(received), b"Open 9 to 5") is None


@pytest.mark.parametrize("body", [b"<Response/>", b'<?xml version="1.0" encoding="UTF-8"?><Response />'])
def test_an_empty_response_is_right_if_no_text_is_expected(body: bytes) -> None:
    assert find_fault(complete(response(body)), b"") is None


@pytest.mark.parametrize(
    ("received", "fault"),
    [
        (response(status="403 Forbidden"), "status 403"),
        (response(content_type="text/plain"), "not sent as XML"),
        (response(b"Open 9 to 5"), "not TwiML"),
        (response(b"<Response><Message>Open 9 to 5</Message>"), "not TwiML"),
        (response(b"<Response><Message>Closed</Message></Response>"), "is missing from"),
    ],
)
def test_a_fault_is_returned_for_a_wrong_answer(received: bytes, fault: str) -> None:
    assert fault in (find_fault(complete(received), b"Open 9 to 5") or "")
