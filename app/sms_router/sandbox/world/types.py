"""Validated types of values in sandbox.toml, in scenarios and in the control API's bodies."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, Strict, ValidationInfo

from sms_router.sandbox.world.errors import UNDELIVERED
from sms_router.sandbox.world.numbers import can_be_from, is_e164, is_short_code


@dataclass(frozen=True, slots=True)
class DefinedNames:
    """What the keys of a file may refer to: the context in which its models are validated."""

    carriers: Sequence[str] = ()
    numbers: Sequence[str] = ()
    """The account's short codes and phone numbers, each as often as the file defines it."""
    sids: Sequence[str] = ()
    """Likewise."""


def defined_names(info: ValidationInfo) -> DefinedNames:
    names = info.context
    if not isinstance(names, DefinedNames):
        raise TypeError("validate this model with DefinedNames as context")
    return names


def _matching(is_valid: Callable[[str], object], expected: str) -> AfterValidator:
    def check(text: str) -> str:
        if not is_valid(text):
            raise ValueError(f"expected {expected}, got {text!r}")
        return text

    return AfterValidator(check)


def _sid(prefix: str) -> AfterValidator:
    return _matching(re.compile(f"{prefix}[0-9a-fA-F]{{32}}").fullmatch, f"{prefix} and 32 hex digits")


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # brackets without an address
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _carrier(name: str, info: ValidationInfo) -> str:
    known = defined_names(info).carriers
    if name not in known:
        raise ValueError(f"there is no carrier {name!r}; known: {', '.join(known) or 'none'}")
    return name


def _own_number(address: str, info: ValidationInfo) -> str:
    known = defined_names(info).numbers
    if address not in known:
        raise ValueError(f"{address} is not one of the account's numbers: {', '.join(known) or 'none'}")
    return address


def _from(text: str) -> str:
    if not can_be_from(text):
        raise ValueError(
            f"{text!r} is neither a number in E.164, such as +14155550123, nor a short code or a name"
        )
    return text


def _defined_once(value: str, info: ValidationInfo) -> str:
    names = defined_names(info)
    if [*names.numbers, *names.sids].count(value) > 1:
        raise ValueError(f"{value} is defined twice; keep one of them")
    return value


def _error_code(code: int) -> int:
    if code not in UNDELIVERED:
        raise ValueError(f"expected one of {', '.join(map(str, UNDELIVERED))}")
    return code


def _code_of_key(key: object) -> object:
    """Read a key of TOML, which is always text; 0 is no code."""
    if isinstance(key, str):
        return int(key) if key.isdecimal() else 0
    return key


E164 = Annotated[str, _matching(is_e164, "E.164, such as +14155550123")]
ShortCode = Annotated[str, _matching(is_short_code, "3 to 8 digits")]
DefinedOnce = AfterValidator(_defined_once)
AccountSid = Annotated[str, _sid("AC")]
ServiceSid = Annotated[str, _sid("MG"), DefinedOnce]
ShortCodeSid = Annotated[str, _sid("SC"), DefinedOnce]
PhoneNumberSid = Annotated[str, _sid("PN"), DefinedOnce]
Country = Annotated[str, _matching(re.compile("[A-Z]{2}").fullmatch, "two capital letters (ISO 3166)")]
OptOutKeyword = Annotated[
    str, _matching(re.compile("[A-Z0-9]{1,34}").fullmatch, "up to 34 capitals and digits without blanks")
]
"""The form of a keyword of Advanced Opt-Out (facts 8)."""
HttpUrl = Annotated[str, _matching(_is_http_url, "an http or https URL")]
OptionalUrl = Annotated[str, _matching(lambda url: not url or _is_http_url(url), "an http or https URL")]
"""Empty where there is none, which is Twilio's ``null``."""

CarrierName = Annotated[str, AfterValidator(_carrier)]
OwnNumber = Annotated[str, AfterValidator(_own_number)]
TextSender = Annotated[str, AfterValidator(_from)]

Flag = Annotated[bool, Strict()]
Seconds = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Strict(), Field(ge=0, le=1)]
ErrorCode = Annotated[int, Strict(), AfterValidator(_error_code)]
ErrorCodeKey = Annotated[int, BeforeValidator(_code_of_key), AfterValidator(_error_code)]
