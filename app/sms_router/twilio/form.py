"""Parses ``application/x-www-form-urlencoded`` bodies.

Twilio signs the decoded values, with their blanks and with empty ones, so that nothing is trimmed or
removed here.
"""

from __future__ import annotations

from binascii import a2b_qp
from collections.abc import Collection, Iterator
from urllib.parse import unquote_to_bytes

MAX_PARAMETERS = 1000
"""More than any webhook of Twilio's has."""

MAX_INVALID_ESCAPES = 1000
"""Percent signs of a form with invalid escapes or line ends, which Twilio does not write."""

_SEPARATOR = "\x01"
"""Separates names and values while a form is decoded as a whole."""

_TO_QUOTED_PRINTABLE = bytes.maketrans(b"+&=%", b" \x01\x01=")
"""A form is decoded as quoted-printable, with `_SEPARATOR` between its names and values."""

_NO_STRUCTURE = bytes(set(range(256)) - set(b"&=\n\r\x01"))
"""Bytes that are removed to see the structure of a form."""

_REGULAR_STRUCTURE = b"=&" * MAX_PARAMETERS
"""The structure of a form in which each name has one value; it ends behind the last "="."""

# Numbers, because "in" with a bytes operand is slower.
_PERCENT, _LINE_FEED, _CARRIAGE_RETURN = b"%\n\r"


class MalformedFormError(ValueError):
    """The bytes are no form: too many fields, invalid escapes, or a text that is not UTF-8."""


class Pairs(Collection[tuple[str, str]]):
    """The names and values of a form in their order, with repeated names.

    They are two tuples, because the hot path uses them separately.
    """

    __slots__ = ("names", "values")

    def __init__(self, names: tuple[str, ...], values: tuple[str, ...]) -> None:
        self.names = names
        self.values = values

    @classmethod
    def of(cls, pairs: Collection[tuple[str, str]]) -> Pairs:
        return cls(tuple(name for name, _ in pairs), tuple(value for _, value in pairs))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return zip(self.names, self.values, strict=True)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, pair: object) -> bool:
        return pair in tuple(self)


def parse_form(raw: bytes) -> Pairs:
    """Return the names and values of a form.

    Raises:
        MalformedFormError: when there are too many fields or invalid escapes, or a text is not UTF-8.

    """
    structure = raw.translate(None, _NO_STRUCTURE)
    if structure.count(b"&") >= MAX_PARAMETERS:
        raise MalformedFormError(f"more than {MAX_PARAMETERS} form fields")
    try:
        if len(structure) % 2 and _REGULAR_STRUCTURE.startswith(structure):
            # Decoded as a whole, it takes half the time that names and values one by one take.
            plain = a2b_qp(raw.translate(_TO_QUOTED_PRINTABLE))
            if len(plain) == len(raw) - 2 * raw.count(b"%"):  # all escapes are valid
                parts = plain.decode().split(_SEPARATOR)
                if len(parts) == len(structure) + 1:  # no text contains the separator
                    return Pairs(tuple(parts[::2]), tuple(parts[1::2]))
        fields = [field.partition(b"=") for field in raw.replace(b"+", b" ").split(b"&") if field]
        return Pairs.of([(_decode(name), _decode(value)) for name, _, value in fields])
    except UnicodeDecodeError as error:
        raise MalformedFormError("a form field is not UTF-8") from error


def first_values(pairs: Pairs) -> dict[str, str]:
    """Return each name with its first value."""
    values = dict(zip(pairs.names, pairs.values, strict=True))
    if len(values) == len(pairs.names):
        return values
    return dict(zip(reversed(pairs.names), reversed(pairs.values), strict=True))


def _decode(escaped: bytes) -> str:
    return _unescape(escaped).decode() if _PERCENT in escaped else escaped.decode()


def _unescape(escaped: bytes) -> bytes:
    """Return the result of `urllib.parse.unquote_to_bytes`, for a large body in a thirtieth of the time.

    Quoted-printable has "=" in place of "%", and treats invalid escapes and line ends in another way.
    With an invalid escape the result is longer than expected.
    """
    escapes = escaped.count(b"%")
    if _LINE_FEED not in escaped and _CARRIAGE_RETURN not in escaped:
        plain = a2b_qp(escaped.replace(b"=", b"=3D").replace(b"%", b"="))
        if len(plain) == len(escaped) - 2 * escapes:
            return plain
    if escapes > MAX_INVALID_ESCAPES:
        raise MalformedFormError("a form with many escapes, some of them invalid")
    return unquote_to_bytes(escaped)
