"""Validated types of settings; each error is a sentence with the remedy."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from sms_router.routing.handler.profile import LANGUAGE
from sms_router.routing.pipeline.quiet_hours import parse_window
from sms_router.twilio.public_url import PublicUrl
from sms_router.twilio.sids import ACCOUNT_SID, SERVICE_SID

MIN_PASSWORD_LENGTH = 8
"""Characters."""

_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")


def _account_sid(value: str) -> str:
    if not ACCOUNT_SID.fullmatch(value):
        raise ValueError("must be AC and 32 hex digits, as the Twilio console shows it")
    return value


def _language_code(value: str) -> str:
    if not LANGUAGE.fullmatch(value):
        raise ValueError('must be a language like "es" or "pt-BR"')
    return value


def _service_sid(value: str) -> str:
    if not SERVICE_SID.fullmatch(value):
        raise ValueError("must be MG and 32 hex digits, as the Twilio console shows it")
    return value


def _sender_address(value: str) -> str:
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 _&+-]{1,11}", value):
        raise ValueError('must be a number like "+14155550100", a short code or an alphanumeric sender')
    return value


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text:
        raise ValueError("is empty: with an empty secret anybody could sign webhooks")
    return _plain_secret(value)


def _plain_secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or text != text.strip():
        raise ValueError("has spaces around it, or characters that Twilio does not use: copy it again")
    return value


def _api_token(token: SecretStr) -> SecretStr:
    if 0 < len(token.get_secret_value()) < 16:
        raise ValueError("is too short; use at least 16 characters")
    return token


def _console_password(value: SecretStr) -> SecretStr:
    if 0 < len(value.get_secret_value()) < MIN_PASSWORD_LENGTH:
        raise ValueError(f"has fewer than {MIN_PASSWORD_LENGTH} characters, which is too easy to guess")
    return value


def _public_url(value: str) -> str:
    try:
        return str(PublicUrl.parse(value)) if value else ""
    except ValueError as error:
        raise ValueError(str(error).removeprefix("PUBLIC_URL ")) from error


def _api_base_url(value: str) -> str:
    if value and not _ORIGIN.fullmatch(value):
        raise ValueError("must be a scheme and a host, such as http://127.0.0.1:8900, or empty")
    return value.rstrip("/")


def _redis_url(value: str) -> str:
    if not value:
        return value
    from sms_router.store.url import RedisUrl  # noqa: PLC0415 (redis-py is slow to import)

    try:
        RedisUrl.parse(value)
    except OSError as error:
        raise ValueError(f"names a certificate that cannot be read: {error}") from error
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError("must be a name of the IANA time zone database, like Europe/Oslo") from error
    return value


def _quiet_window(value: str) -> str:
    parse_window(value)
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise ValueError("must be an address or a network, such as 10.0.0.5 or 10.0.0.0/8") from error
    return value


def _interruptions(value: object) -> object:
    if isinstance(value, str):
        return {"none": ()}.get(value, (value,))
    return value


AccountSid = Annotated[str, AfterValidator(_account_sid)]
LanguageCode = Annotated[str, AfterValidator(_language_code)]
ServiceSid = Annotated[str, AfterValidator(_service_sid)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
QuietWindow = Annotated[str, AfterValidator(_quiet_window)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
NetworkAddress = Annotated[str, AfterValidator(_network)]
Port = Annotated[int, Field(ge=1, le=65535)]
PlainSecret = Annotated[SecretStr, AfterValidator(_plain_secret)]
ConsolePassword = Annotated[SecretStr, AfterValidator(_console_password)]
ApiToken = Annotated[SecretStr, AfterValidator(_api_token)]
PublicAddress = Annotated[str, AfterValidator(_public_url)]
ApiAddress = Annotated[str, AfterValidator(_api_base_url), Field(repr=False)]
RedisAddress = Annotated[str, AfterValidator(_redis_url), Field(repr=False)]
SenderAddress = Annotated[str, AfterValidator(_sender_address)]
Interruptions = Annotated[tuple[str, ...], BeforeValidator(_interruptions)]
