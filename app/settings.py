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
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from app.environment import Layers, contradictions
from app.mistakes import SettingsError
from app.routing.hours import TimeZones
from app.routing.upstream.table import Host
from app.senders.failures import WarningRule
from app.senders.limits import Limit, Limits
from app.senders.request import ReplyFrom
from app.senders.sender import SenderKind
from app.store.deployment import Deployment
from app.toml_files import describe_mistakes, read_toml
from app.twilio.public_url import PublicUrl

DEFAULT_FOLDER = "config"

SHORTEST_PASSWORD = 8
"""Characters."""

_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?")

_REACHED_AT = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Where a listener on every address is found; one on ``::`` may take IPv6 alone."""


def _reached(host: str, port: int) -> str:
    host = _REACHED_AT.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class SignatureMode(StrEnum):
    """What happens to a request whose signature is wrong."""

    ENFORCE = "enforce"
    WARN = "warn"


class OnError(StrEnum):
    """What Twilio gets when a handler raised."""

    REPLY = "reply"
    TWILIO_FALLBACK = "twilio-fallback"


class SenderKindName(StrEnum):
    """The kinds of number, as they are written in the configuration and typed in commands."""

    SHORT_CODE = "short-code"
    ALPHANUMERIC = "alphanumeric"
    LONG_CODE = "long-code"
    TOLL_FREE = "toll-free"

    @property
    def kind(self) -> SenderKind:
        """The kind of that name."""
        return SenderKind[self.name]


class OptOutAnswers(StrEnum):
    """Who answers STOP, START and HELP on a Service's short codes when ``OptOutType`` is absent."""

    ROUTER = "router"
    TWILIO = "twilio"


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


def _sender_address(value: str) -> str:
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 _&+-]{1,11}", value):
        raise ValueError('must be a number like "+14155550100", a short code or an alphanumeric sender')
    return value


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text:
        raise ValueError("is empty: with an empty secret anybody could sign")
    return _plain_secret(value)


def _plain_secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text.isascii() or text != text.strip():
        raise ValueError("has blanks around it, or letters that Twilio does not use: copy it once more")
    return value


def _console_password(value: SecretStr) -> SecretStr:
    if 0 < len(value.get_secret_value()) < SHORTEST_PASSWORD:
        raise ValueError(f"has fewer than {SHORTEST_PASSWORD} characters: too easy to guess")
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
    try:
        if value:
            Deployment.of(value)
    except OSError as error:
        raise ValueError(f"names a certificate that cannot be read: {error}") from error
    return value


def _time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError("must be a name of the IANA time zone database, like Europe/Oslo") from error
    return value


AccountSid = Annotated[str, AfterValidator(_account_sid)]
ServiceSid = Annotated[str, AfterValidator(_service_sid)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Port = Annotated[int, Field(ge=1, le=65535)]


class LogForm(StrEnum):
    """How the log is written: for people, or one JSON document a line."""

    TEXT = "text"
    JSON = "json"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class RouterSettings(_Table):
    """``[router]``: how messages are answered."""

    public_url: Annotated[str, AfterValidator(_public_url)] = ""
    signature: SignatureMode = SignatureMode.ENFORCE
    reply_from: ReplyFrom = ReplyFrom.SHORT_CODE_FIRST
    inline_deadline: Annotated[float, Field(ge=0.5, le=13)] = 8.0
    on_error: OnError = OnError.REPLY
    error_reply: str = "Sorry, something went wrong. Please try again."
    fallback_reply: str = "We got your message and will answer soon."
    late_limit: Annotated[float, Field(ge=1, le=86_400)] = 3600.0
    reroute: bool = True
    handlers: tuple[str, ...] = ("app.handlers",)
    middlewares: tuple[str, ...] = ()
    handler_threads: Annotated[int, Field(ge=1, le=500)] = 16
    number_urls: bool = False
    redirect_hosts: tuple[Host, ...] = ()
    upstream_calls: Annotated[int, Field(ge=1, le=1000)] = 50
    privacy: Privacy = Privacy.MASKED
    time_zone: TimeZone = "UTC"
    retention_days: Annotated[float, Field(ge=0.05, le=400)] = 7
    body_retention_days: Annotated[float, Field(ge=0.05, le=400)] | None = None
    data_dir: Path = Path(".data")

    @model_validator(mode="after")
    def _texts_go_first(self) -> RouterSettings:
        if self.body_retention_days is not None and self.body_retention_days > self.retention_days:
            raise ValueError("body_retention_days must not be more than retention_days, after which all goes")
        return self


class ServerSettings(_Table):
    """``[server]``: where the router listens."""

    host: str = "127.0.0.1"
    port: Port = 8000
    private_host: str = "127.0.0.1"
    private_port: Port | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    logs: LogForm = LogForm.TEXT
    traces: bool = False

    @model_validator(mode="after")
    def _two_doors(self) -> ServerSettings:
        if self.private_port == self.port:
            raise ValueError("private_port must be another one than port, which everybody can reach")
        return self


class ConsoleSettings(_Table):
    """``[console]``: the pages for operators; off without a password."""

    password: Annotated[SecretStr, AfterValidator(_console_password)] = SecretStr("")


class RedisSettings(_Table):
    """``[redis]``: empty means the embedded Valkey."""

    url: Annotated[str, AfterValidator(_redis_url), Field(repr=False)] = ""


class TwilioSettings(_Table):
    """``[twilio]``: how its REST API is reached."""

    api_base_url: Annotated[str, AfterValidator(_api_base_url), Field(repr=False)] = ""
    timeout: Annotated[float, Field(gt=0, le=60)] = 10.0


def _interrupting(value: object) -> object:
    if isinstance(value, str):
        return {"none": ()}.get(value, (value,))
    return value


class ConversationSettings(_Table):
    """``[conversations]``: how a team's conversations with people go."""

    expires_after: Annotated[float, Field(ge=1, le=31_536_000)] = 900.0
    leave_words: tuple[str, ...] = ("EXIT",)
    leave_reply: str = "OK, let us leave it there."
    interrupted_by: Annotated[tuple[str, ...], BeforeValidator(_interrupting)] = ()
    expired_reply: str = ""
    try_again_reply: str = "Sorry, we cannot look that up right now. Please try again in a minute."


class LoopGuardSettings(_Table):
    """``[loop_guard]``: when replies to one person are held back."""

    replies: Annotated[int, Field(ge=0, le=100_000)] = 30
    seconds: Annotated[float, Field(ge=1, le=86_400)] = 60.0
    reply: str = ""


class SandboxSettings(_Table):
    """``[sandbox]``: the offline Twilio."""

    port: Port = 8900


class SharedKey(_Table):
    """A SharedKey that signs webhooks in place of the auth token (facts 2.3)."""

    id: Annotated[str, Field(min_length=1)]
    secret: Secret


class AccountSettings(_Table):
    """``[[accounts]]``: an account or subaccount whose webhooks are accepted."""

    sid: AccountSid
    auth_token: Secret
    auth_token_secondary: Annotated[SecretStr, AfterValidator(_plain_secret)] = SecretStr("")
    shared_keys: tuple[SharedKey, ...] = ()

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
    opt_out: OptOutAnswers = OptOutAnswers.ROUTER
    time_zone: TimeZone | None = None
    refresh_after: Annotated[float, Field(ge=1, le=86_400)] = 60
    number_urls: bool | None = None


class FailureSettings(_Table):
    """``[failures]``: when the operator is told that a number loses too much of what it sends."""

    share: Annotated[float, Field(gt=0, le=1)] = 0.25
    at_least: Annotated[int, Field(ge=1)] = 20
    window: Annotated[float, Field(ge=10, le=86_400)] = 600

    @property
    def rule(self) -> WarningRule:
        """The rule that warnings follow."""
        return WarningRule(self.share, self.at_least, self.window)


class SenderSettings(_Table):
    """``[[senders]]``: what one number, or each of a kind, may send, in segments."""

    number: Annotated[str, AfterValidator(_sender_address)] | None = None
    kind: SenderKindName | None = None
    messages_per_second: Annotated[float, Field(gt=0, le=100_000)] | None = None
    daily_cap: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _whole(self) -> SenderSettings:
        if (self.number is None) == (self.kind is None):
            raise ValueError('must name either a number, like number = "+14155550100", or a kind')
        if self.messages_per_second is None and self.daily_cap is None:
            raise ValueError("limits nothing: give messages_per_second, daily_cap or both")
        return self

    @property
    def limit(self) -> Limit:
        """What it allows."""
        return Limit(self.messages_per_second, self.daily_cap)


_WithSid = TypeVar("_WithSid", AccountSettings, ServiceSettings)


class RouterFile(_Table):
    """``router.toml``, with the environment laid over it."""

    router: RouterSettings = RouterSettings()
    server: ServerSettings = ServerSettings()
    console: ConsoleSettings = ConsoleSettings()
    redis: RedisSettings = RedisSettings()
    twilio: TwilioSettings = TwilioSettings()
    conversations: ConversationSettings = ConversationSettings()
    loop_guard: LoopGuardSettings = LoopGuardSettings()
    sandbox: SandboxSettings = SandboxSettings()
    accounts: tuple[AccountSettings, ...] = ()
    services: tuple[ServiceSettings, ...] = ()
    senders: tuple[SenderSettings, ...] = ()
    failures: FailureSettings = FailureSettings()

    @field_validator("senders")
    @classmethod
    def _once(cls, senders: tuple[SenderSettings, ...]) -> tuple[SenderSettings, ...]:
        named = [each.number or each.kind for each in senders]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two tables for {twice}; keep one of them")
        return senders


class Settings(RouterFile):
    """Everything that the router was told, frozen."""

    folder: Path
    """Where ``router.toml`` and ``keywords.toml`` lie."""

    @property
    def offline(self) -> bool:
        """True when there are no Twilio credentials, so that the sandbox stands in for Twilio."""
        return not self.accounts

    @property
    def public_url(self) -> str:
        """What Twilio calls, without a slash at the end."""
        return self.router.public_url or self.local_url

    @property
    def local_url(self) -> str:
        """Where this machine reaches the router."""
        return _reached(self.server.host, self.server.port)

    @property
    def private_url(self) -> str:
        """Where this machine reaches the console, the metrics and the probes."""
        if self.server.private_port is None:
            return self.local_url
        return _reached(self.server.private_host, self.server.private_port)

    @property
    def twilio_opt_outs(self) -> frozenset[str]:
        """The Services on whose short codes Twilio answers the opt-out words."""
        return frozenset(each.sid for each in self.services if each.opt_out is OptOutAnswers.TWILIO)

    @property
    def limits(self) -> Limits:
        """What each sender may send."""
        return Limits(
            {each.kind.kind: each.limit for each in self.senders if each.kind is not None},
            {each.number: each.limit for each in self.senders if each.number is not None},
        )

    @property
    def time_zones(self) -> TimeZones:
        """By which clock the hours of rules count."""
        of_services = {each.sid: each.time_zone for each in self.services if each.time_zone is not None}
        return TimeZones(self.router.time_zone, of_services)

    def reply_from(self, service_sid: str | None) -> ReplyFrom:
        """Return the policy of a Service, or the router's."""
        for service in self.services:
            if service.sid == service_sid and service.reply_from is not None:
                return service.reply_from
        return self.router.reply_from

    def number_urls(self, service_sid: str) -> bool:
        """Tell whether what no rule claims goes to the URL of the number that was texted."""
        for service in self.services:
            if service.sid == service_sid and service.number_urls is not None:
                return service.number_urls
        return self.router.number_urls


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment and the configuration folder.

    Raises:
        SettingsError: with every mistake found, when there is one.

    """
    env = os.environ if environment is None else environment
    folder = Path(env.get("SMS_ROUTER_CONFIG") or DEFAULT_FOLDER)
    if not folder.is_dir():
        raise SettingsError(
            [f"SMS_ROUTER_CONFIG: {folder} is not a folder; export SMS_ROUTER_CONFIG=/path/to/config"]
        )
    layers = Layers(folder / "router.toml", read_toml(folder / "router.toml"), env)
    layers.apply()
    tables, mistakes = _checked(layers)
    mistakes = [*layers.mistakes, *mistakes, *contradictions(layers)]
    if mistakes or tables is None:
        raise SettingsError(mistakes)
    return Settings(
        folder=folder,
        router=tables.router,
        server=tables.server,
        console=tables.console,
        redis=tables.redis,
        twilio=tables.twilio,
        conversations=tables.conversations,
        loop_guard=tables.loop_guard,
        sandbox=tables.sandbox,
        accounts=_first(tables.accounts, env.get("TWILIO_ACCOUNT_SID")),
        senders=tables.senders,
        failures=tables.failures,
        services=_first(tables.services, env.get("TWILIO_MESSAGING_SERVICE_SID")),
    )


def _checked(layers: Layers) -> tuple[RouterFile | None, list[str]]:
    """Return the tables as models, or the mistakes in them that have not been told yet."""
    try:
        return RouterFile.model_validate(layers.tables), []
    except ValidationError as error:
        return None, describe_mistakes(error, RouterFile, layers.file, layers.variables, layers.unset)


def _first(tables: tuple[_WithSid, ...], sid: str | None) -> tuple[_WithSid, ...]:
    """Put the one that the environment names before the others: commands speak for the first."""
    return tuple(sorted(tables, key=lambda table: table.sid != sid))
