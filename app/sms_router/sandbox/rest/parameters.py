"""Reading the forms of REST calls strictly: what Twilio would refuse is refused (20001)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from sms_router.sandbox.sending.callbacks import can_be_called_back
from sms_router.sandbox.world.errors import RefusedError, refusal
from sms_router.sandbox.world.numbers import HttpMethod
from sms_router.twilio.form import MalformedFormError, Pairs, parse_form

LARGEST_FORM = 256 * 1024
"""Bytes."""

Reader = Callable[[str, str], object]
"""Turns the name and text of a parameter into its value, or refuses it."""


@dataclass(frozen=True, slots=True)
class Form:
    """The parameters of one call."""

    pairs: Pairs

    def get(self, name: str) -> str | None:
        """Return a parameter, or None when it was not sent."""
        return next((value for key, value in self.pairs if key == name), None)

    def all(self, name: str) -> tuple[str, ...]:
        """Return each value of a parameter that may be repeated."""
        return tuple(value for key, value in self.pairs if key == name)

    def required(self, name: str) -> str:
        """Return a parameter that must be there and not be empty."""
        value = self.get(name)
        if not value:
            raise invalid(f"Missing required parameter {name} in the post body")
        return value

    def changes(self, fields: Mapping[str, tuple[str, Reader]]) -> dict[str, Any]:
        """Return the new values of a resource's fields, for the parameters that were sent."""
        return {
            field: read(name, value)
            for name, (field, read) in fields.items()
            if (value := self.get(name)) is not None
        }


async def read_form(request: Request) -> Form:
    """Return the form in a request's body."""
    try:
        return Form(parse_form(await read_body(request)))
    except MalformedFormError as error:
        raise invalid(f"The body is not a form: {error}") from error


async def read_body(request: Request) -> bytes:
    """Return a request's body, within its bound."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LARGEST_FORM:
            raise invalid(f"The body is larger than {LARGEST_FORM} bytes")
    return bytes(raw)


def invalid(reason: str) -> RefusedError:
    """Return the error for a parameter that cannot be used."""
    return RefusedError(refusal(20001, reason=reason))


def text_up_to(longest: int) -> Reader:
    """Read a text of at most so many characters."""

    def read(name: str, value: str) -> str:
        if len(value) > longest:
            raise invalid(f"{name} is longer than {longest} characters")
        return value

    return read


def read_url(name: str, value: str) -> str:
    """Read an http or https URL; empty removes it."""
    if value and not re.match("https?://[^/]", value):
        raise invalid(f"{name} is not a valid URL: {value}")
    return value


def read_status_callback(_: str, value: str) -> str:
    """Read the URL that is told of each change of a message; empty for none."""
    if value and not can_be_called_back(value):
        raise RefusedError(refusal(21609, url=value))
    return value


def read_method(name: str, value: str) -> HttpMethod:
    """Read GET or POST."""
    try:
        return HttpMethod(value.upper())
    except ValueError as error:
        raise invalid(f"{name} must be GET or POST, not {value}") from error


def read_flag(name: str, value: str) -> bool:
    """Read true or false."""
    if value.lower() not in ("true", "false"):
        raise invalid(f"{name} must be true or false, not {value}")
    return value.lower() == "true"


def whole_number(lowest: int, highest: int) -> Reader:
    """Read a whole number in a range."""

    def read(name: str, value: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", value) or not lowest <= int(value) <= highest:
            raise invalid(f"{name} must be between {lowest} and {highest}, not {value}")
        return int(value)

    return read


def one_of(*choices: str) -> Reader:
    """Read one of some words."""

    def read(name: str, value: str) -> str:
        if value not in choices:
            raise invalid(f"{name} must be one of {', '.join(choices)}, not {value}")
        return value

    return read


def read_moment(name: str, value: str) -> datetime:
    """Read a date or a date and time of ISO 8601; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise invalid(f"{name} is not an ISO 8601 date: {value}") from error
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
