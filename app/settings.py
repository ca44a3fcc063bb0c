"""Settings: the environment and ``config/*.toml``, checked as a whole before anything starts.

Environment beats ``router.toml``, which beats the defaults. Every mistake is reported at once, by
its key, with the remedy.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from app.senders.request import ReplyFrom
from app.toml_files import RawTable, SettingsError, describe_mistakes, read_toml

DEFAULT_FOLDER = "config"


class SignatureMode(StrEnum):
    """What happens to a request whose signature is wrong."""

    ENFORCE = "enforce"
    WARN = "warn"


class OnError(StrEnum):
    """What Twilio gets when a handler raised."""

    REPLY = "reply"
    TWILIO_FALLBACK = "twilio-fallback"


class Privacy(StrEnum):
    """Whether numbers are shortened in logs and listings."""

    MASKED = "masked"
    OPEN = "open"


def _account_sid(value: str) -> str:
    if not re.fullmatch(r"AC[0-9a-fA-F]{32}", value):
        raise ValueError("an account sid is AC and 32 hex digits, as the Twilio console shows it")
    return value


def _service_sid(value: str) -> str:
    if not re.fullmatch(r"MG[0-9a-fA-F]{32}", value):
        raise ValueError("a Messaging Service sid is MG and 32 hex digits, as the Twilio console shows it")
    return value


def _web_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError('write a whole URL, for example "https://sms.example.com"')
    if parts.query or parts.fragment:
        raise ValueError("leave out the query and the fragment (everything from ? or # on)")
    return value.rstrip("/")


AccountSid = Annotated[str, AfterValidator(_account_sid)]
ServiceSid = Annotated[str, AfterValidator(_service_sid)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RouterSettings(_Table):
    """``[router]``: how messages are answered."""

    public_url: WebUrl | None = None
    signature: SignatureMode = SignatureMode.ENFORCE
    reply_from: ReplyFrom = ReplyFrom.SHORT_CODE_FIRST
    inline_deadline: Annotated[float, Field(ge=0.5, le=13)] = 8.0
    on_error: OnError = OnError.REPLY
    error_reply: str = "Sorry, something went wrong. Please try again."
    fallback_reply: str = "We got your message and will answer soon."
    handlers: tuple[str, ...] = ("app.handlers",)
    handler_threads: Annotated[int, Field(ge=1, le=500)] = 16
    privacy: Privacy = Privacy.MASKED
    retention_days: Annotated[float, Field(gt=0, le=400)] = 7
    data_dir: Path = Path(".data")


class ServerSettings(_Table):
    """``[server]``: where the router listens."""

    host: str = "127.0.0.1"
    port: Port = 8000
    workers: Annotated[int, Field(ge=1, le=64)] = 1


class RedisSettings(_Table):
    """``[redis]``: empty means the embedded Valkey."""

    url: str = ""


class TwilioSettings(_Table):
    """``[twilio]``: how its REST API is reached."""

    api_base_url: str = ""
    timeout: Annotated[float, Field(gt=0, le=60)] = 10.0


class SandboxSettings(_Table):
    """``[sandbox]``: the offline Twilio."""

    port: Port = 8900


class SharedKey(_Table):
    """A SharedKey that signs webhooks in place of the auth token (facts 2.3)."""

    id: str
    secret: SecretStr


class AccountSettings(_Table):
    """``[[accounts]]``: an account or subaccount whose webhooks are accepted."""

    sid: AccountSid
    auth_token: SecretStr
    auth_token_secondary: SecretStr = SecretStr("")
    shared_keys: tuple[SharedKey, ...] = ()

    @model_validator(mode="after")
    def _token_is_there(self) -> Self:
        if not self.auth_token.get_secret_value():
            raise ValueError("auth_token is empty: with an empty token anybody could sign")
        return self

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens that may sign, the primary one first."""
        both = (self.auth_token.get_secret_value(), self.auth_token_secondary.get_secret_value())
        return tuple(token for token in both if token)


class ServiceSettings(_Table):
    """``[[services]]``: a Messaging Service whose numbers answer."""

    sid: ServiceSid
    account: AccountSid
    reply_from: ReplyFrom | None = None
    refresh_after: Annotated[float, Field(ge=1)] = 60


class Settings(_Table):
    """Everything that the router was told, frozen."""

    folder: Path
    router: RouterSettings = RouterSettings()
    server: ServerSettings = ServerSettings()
    redis: RedisSettings = RedisSettings()
    twilio: TwilioSettings = TwilioSettings()
    sandbox: SandboxSettings = SandboxSettings()
    accounts: tuple[AccountSettings, ...] = ()
    services: tuple[ServiceSettings, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        known = {account.sid for account in self.accounts}
        if len(known) < len(self.accounts):
            raise ValueError("two [[accounts]] have the same sid: keep one of them")
        if len({service.sid for service in self.services}) < len(self.services):
            raise ValueError("two [[services]] have the same sid: keep one of them")
        for service in self.services:
            if service.account not in known:
                raise ValueError(
                    f"services: {service.sid} names account {service.account}, "
                    "which has no [[accounts]] table: add one with its auth_token"
                )
        return self

    @property
    def offline(self) -> bool:
        """True when there are no Twilio credentials, so that the sandbox stands in for Twilio."""
        return not self.accounts

    @property
    def public_url(self) -> str:
        """What Twilio calls, without a slash at the end."""
        if self.router.public_url:
            return self.router.public_url
        host = "127.0.0.1" if self.server.host in ("0.0.0.0", "::", "") else self.server.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server.port}"

    def reply_from(self, service_sid: str | None) -> ReplyFrom:
        """Return the policy of a Service, or the router's."""
        for service in self.services:
            if service.sid == service_sid and service.reply_from is not None:
                return service.reply_from
        return self.router.reply_from


_ENVIRONMENT = {
    "PUBLIC_URL": ("router", "public_url"),
    "REDIS_URL": ("redis", "url"),
    "TWILIO_API_BASE_URL": ("twilio", "api_base_url"),
    "HOST": ("server", "host"),
    "PORT": ("server", "port"),
    "WORKERS": ("server", "workers"),
    "SANDBOX_PORT": ("sandbox", "port"),
}
"""Environment variables that stand for one key each; the TWILIO_* credentials make whole tables."""


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment and the configuration folder.

    Raises:
        SettingsError: with every mistake found, when there is one.

    """
    env = os.environ if environment is None else environment
    folder = Path(env.get("SMS_ROUTER_CONFIG") or DEFAULT_FOLDER)
    if not folder.is_dir():
        raise SettingsError([f"SMS_ROUTER_CONFIG: {folder} is not a folder; name the one with router.toml"])
    mistakes: list[str] = []
    tables = _resolve(read_toml(folder / "router.toml"), env, "", mistakes)
    _apply_environment(tables, env, mistakes)
    if "folder" in tables:
        mistakes.append("folder: unknown key; remove it")
    try:
        settings = Settings.model_validate({**tables, "folder": folder})
    except ValidationError as error:
        mistakes += describe_mistakes(error, Settings)
    if mistakes:
        raise SettingsError([f"{folder / 'router.toml'}: {mistake}" for mistake in mistakes])
    return settings


def _resolve(value: Any, env: Mapping[str, str], key: str, mistakes: list[str]) -> Any:
    """Replace every ``env:NAME`` by the variable; an unset one is empty, and an error where it must not be."""
    if isinstance(value, dict):
        return {
            name: _resolve(inner, env, f"{key}.{name}".lstrip("."), mistakes) for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_resolve(inner, env, f"{key}[{index + 1}]", mistakes) for index, inner in enumerate(value)]
    if isinstance(value, str) and value.startswith("env:"):
        name = value.removeprefix("env:")
        if name not in env and not key.endswith("_secondary"):
            mistakes.append(f"{key}: the environment variable {name} is not set; export {name}=...")
        return env.get(name, "")
    return value


def _apply_environment(tables: RawTable, env: Mapping[str, str], mistakes: list[str]) -> None:
    for name, (table, key) in _ENVIRONMENT.items():
        if env.get(name) and isinstance(tables.setdefault(table, {}), dict):
            tables[table][key] = env[name]
    sid, token = env.get("TWILIO_ACCOUNT_SID", ""), env.get("TWILIO_AUTH_TOKEN", "")
    service = env.get("TWILIO_MESSAGING_SERVICE_SID", "")
    accounts = tables.setdefault("accounts", [])
    if sid and not token:
        mistakes.append("TWILIO_ACCOUNT_SID is set without TWILIO_AUTH_TOKEN; export TWILIO_AUTH_TOKEN=...")
    elif token and not sid and not accounts:
        mistakes.append(
            "TWILIO_AUTH_TOKEN is set without TWILIO_ACCOUNT_SID; export TWILIO_ACCOUNT_SID=AC..."
        )
    elif sid and isinstance(accounts, list):
        _account_from_environment(accounts, sid, token, env.get("TWILIO_AUTH_TOKEN_SECONDARY", ""))
    if service and accounts:
        _service_from_environment(
            tables.setdefault("services", []), service, sid or accounts[0].get("sid", "")
        )


def _account_from_environment(accounts: list[RawTable], sid: str, token: str, secondary: str) -> None:
    account = next((each for each in accounts if each.get("sid") == sid), None)
    if account is None:
        account = {"sid": sid}
        accounts.insert(0, account)
    account["auth_token"] = token
    if secondary:
        account["auth_token_secondary"] = secondary


def _service_from_environment(services: list[RawTable], service: str, account: str) -> None:
    if not any(each.get("sid") == service for each in services):
        services.insert(0, {"sid": service, "account": account})
