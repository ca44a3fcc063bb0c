"""``application/x-www-form-urlencoded`` from the raw bytes, exactly as Twilio wrote it.

Twilio signs the decoded values, blanks and empty ones included, so nothing is trimmed,
dropped or guessed here.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

MOST_PARAMETERS = 1000
"""More than any webhook has; beyond it the request is not Twilio's."""

Pairs = list[tuple[str, str]]


class MalformedFormError(ValueError):
    """The bytes are not a form: too many fields, or text that is not UTF-8."""


def parse_form(raw: bytes) -> Pairs:
    """Return the names and values in the order of the wire, repeated names kept.

    Raises:
        MalformedFormError: when there are too many fields or a value is not UTF-8.

    """
    fields = raw.split(b"&", MOST_PARAMETERS)
    if len(fields) > MOST_PARAMETERS:
        raise MalformedFormError(f"more than {MOST_PARAMETERS} form fields")
    try:
        return [_pair(field) for field in fields if field]
    except UnicodeDecodeError as error:
        raise MalformedFormError("a form field is not UTF-8") from error


def _pair(field: bytes) -> tuple[str, str]:
    name, _, value = field.partition(b"=")
    if b"+" in field or b"%" in field:
        name, value = _decoded(name), _decoded(value)
    return name.decode(), value.decode()


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
