"""Reads the forms of REST calls strictly: what Twilio rejects is rejected (20001)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from starlette.requests import Request

from sms_router.sandbox.clock import parse_time
from sms_router.sandbox.sending.callbacks import is_valid_status_callback
from sms_router.sandbox.world.errors import RejectedError, rejection
from sms_router.sandbox.world.numbers import HttpMethod
from sms_router.twilio.form import MalformedFormError, Pairs, parse_form

MAX_BODY_BYTES = 256 * 1024

Reader = Callable[[str, str], object]
"""Converts the name and text of a parameter to its value; raises ``RejectedError``."""

Fields = Mapping[str, tuple[str, Reader]]
"""By parameter: the field of a resource that it changes, and how it is read."""


@dataclass(frozen=True, slots=True)
class Form:
    """The parameters of one call."""

    pairs: Pairs

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.pairs if key == name), None)

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.pairs if key == name)

    def required(self, name: str) -> str:
        """Return a parameter that must not be missing or empty."""
        value = self.get(name)
        if not value:
            raise invalid(f"Missing required parameter {name} in the post body")
        return value

    def changes(self, fields: Fields) -> dict[str, Any]:
        """Return the new values of a resource's fields, for the parameters that were sent."""
        return {
            field: read(name, value)
            for name, (field, read) in fields.items()
            if (value := self.get(name)) is not None
        }


def render_fields(resource: object, fields: Fields) -> dict[str, object]:
    """Return the fields of a resource that can be changed as Twilio shows them; an empty URL is null."""
    values = (
        (field, getattr(resource, field), read in (read_url, read_status_callback))
        for field, read in fields.values()
    )
    return {
        field: value or None if is_url else value.value if isinstance(value, Enum) else value
        for field, value, is_url in values
    }


async def read_form(request: Request) -> Form:
    try:
        return Form(parse_form(await read_body(request)))
    except MalformedFormError as error:
        raise invalid(f"The body is not a form: {error}") from error


async def read_body(request: Request, too_large: Exception | None = None) -> bytes:
    """Return the body of a request; raise ``too_large``, by default Twilio's error, when it is."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise too_large or invalid(f"The body is larger than {MAX_BODY_BYTES} bytes")
    return bytes(raw)


def invalid(reason: str) -> RejectedError:
    return RejectedError(rejection(20001, reason=reason))


def text_up_to(limit: int) -> Reader:
    def read(name: str, value: str) -> str:
        if len(value) > limit:
            raise invalid(f"{name} is longer than {limit} characters")
        return value

    return read


def read_url(name: str, value: str) -> str:
    """Read an http or https URL; an empty one removes the old one."""
    if value and not re.match("https?://[^/]", value):
        raise invalid(f"{name} is not a valid URL: {value}")
    return value


def read_status_callback(_: str, value: str) -> str:
    if value and not is_valid_status_callback(value):
        raise RejectedError(rejection(21609, url=value))
    return value


def read_method(name: str, value: str) -> HttpMethod:
    try:
        return HttpMethod(value.upper())
    except ValueError as error:
        raise invalid(f"{name} must be GET or POST, not {value}") from error


def read_flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise invalid(f"{name} must be true or false, not {value}")
    return value.lower() == "true"


def whole_number(minimum: int, maximum: int) -> Reader:
    def read(name: str, value: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", value) or not minimum <= int(value) <= maximum:
            raise invalid(f"{name} must be between {minimum} and {maximum}, not {value}")
        return int(value)

    return read


def one_of(*choices: str) -> Reader:
    def read(name: str, value: str) -> str:
        if value not in choices:
            raise invalid(f"{name} must be one of {', '.join(choices)}, not {value}")
        return value

    return read


def read_time(name: str, value: str) -> datetime:
    try:
        return parse_time(value)
    except ValueError as error:
        raise invalid(f"{name} is not an ISO 8601 date: {value}") from error
