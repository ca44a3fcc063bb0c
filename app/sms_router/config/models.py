"""The pydantic models of ``router.toml``, with defaults and bounds."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from sms_router.config.types import (
    AccountSid,
    ApiAddress,
    ApiToken,
    ConsolePassword,
    Interruptions,
    LanguageCode,
    NetworkAddress,
    PlainSecret,
    Port,
    PublicAddress,
    QuietWindow,
    RedisAddress,
    Secret,
    SenderAddress,
    ServiceSid,
    TimeZone,
)
from sms_router.routing.keywords.own_replies import REPLY_NAMES, ReplyTable
from sms_router.routing.upstream.forward_rule import Host
from sms_router.senders.failure_monitor import WarningRule
from sms_router.senders.models import ReplyFrom, SenderKind
from sms_router.senders.rate_limits import SenderLimit
from sms_router.toml import StrictModel


class SignatureMode(StrEnum):
    """What happens to a webhook with a wrong signature."""

    ENFORCE = "enforce"
    WARN = "warn"


class OnError(StrEnum):
    """What Twilio gets when a handler raises."""

    REPLY = "reply"
    TWILIO_FALLBACK = "twilio-fallback"


class SenderKindName(StrEnum):
    """The kinds of senders, as written in the configuration and in commands."""

    SHORT_CODE = "short-code"
    ALPHANUMERIC = "alphanumeric"
    LONG_CODE = "long-code"
    TOLL_FREE = "toll-free"

    @property
    def kind(self) -> SenderKind:
        return SenderKind[self.name]


class ReconcileMode(StrEnum):
    """What a router does about messages in Twilio's log whose webhook never came."""

    OFF = "off"
    REPORT = "report"
    ANSWER = "answer"


class OptOutAnswers(StrEnum):
    """Who answers STOP, START and HELP on a Service's short codes when ``OptOutType`` is absent."""

    ROUTER = "router"
    TWILIO = "twilio"


class Privacy(StrEnum):
    """Whether numbers and texts are masked in lists and in the console."""

    MASKED = "masked"
    OPEN = "open"


class LogFormat(StrEnum):
    """The format of the log: lines for people, or one JSON document per line."""

    TEXT = "text"
    JSON = "json"


class MiddlewareScope(StrEnum):
    """What a middleware stands around."""

    HANDLERS = "handlers"
    ALL = "all"


class MiddlewareSettings(StrictModel):
    """One of ``middlewares``, with its scope."""

    function: str
    scope: MiddlewareScope = MiddlewareScope.HANDLERS


class RouterSettings(StrictModel):
    """``[router]``: how messages are answered."""

    public_url: PublicAddress = ""
    signature: SignatureMode = SignatureMode.ENFORCE
    reply_from: ReplyFrom = ReplyFrom.SHORT_CODE_FIRST
    inline_deadline: Annotated[float, Field(ge=0.5, le=13)] = 8.0
    on_error: OnError = OnError.REPLY
    error_reply: str = "Sorry, something went wrong. Please try again."
    fallback_reply: str = "We got your message and will answer soon."
    late_limit: Annotated[float, Field(ge=1, le=86_400)] = 3600.0
    reroute: bool = True
    handlers: tuple[str, ...] = ("handlers",)
    middlewares: tuple[str | MiddlewareSettings, ...] = ()
    block_limit: Annotated[float, Field(ge=0.05, le=60)] | None = None
    handler_threads: Annotated[int, Field(ge=1, le=500)] = 16
    number_urls: bool = False
    redirect_hosts: tuple[Host, ...] = ()
    private_hosts: tuple[Host, ...] = ()
    upstream_calls: Annotated[int, Field(ge=1, le=1000)] = 50
    privacy: Privacy = Privacy.MASKED
    time_zone: TimeZone = "UTC"
    quiet_hours: QuietWindow = ""
    retention_days: Annotated[float, Field(ge=0.05, le=400)] = 7
    body_retention_days: Annotated[float, Field(ge=0.05, le=400)] | None = None
    consent_retention_days: Annotated[float, Field(ge=1, le=3653)] = 1461
    data_dir: Path = Path(".data")

    @property
    def middleware_names(self) -> list[str | tuple[str, bool]]:
        """The middlewares, and whether each stands around templates and other applications too."""
        return [
            middleware
            if isinstance(middleware, str)
            else (middleware.function, middleware.scope is MiddlewareScope.ALL)
            for middleware in self.middlewares
        ]

    @model_validator(mode="after")
    def _check_retention(self) -> RouterSettings:
        if self.body_retention_days is not None and self.body_retention_days > self.retention_days:
            raise ValueError(
                "body_retention_days must not be more than retention_days, after which everything is deleted"
            )
        return self


class ServerSettings(StrictModel):
    """``[server]``: where the router listens."""

    host: str = "127.0.0.1"
    port: Port = 8000
    private_host: str = "127.0.0.1"
    private_port: Port | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    keep_alive: Annotated[int, Field(ge=1, le=3600)] = 75
    """Seconds that an idle connection is kept at least.

    It is longer than proxies keep theirs (nginx and Amazon's load balancers: 60 s): a proxy answers 502 when
    it sends a request on a connection that is closed here at the same time.
    """
    logs: LogFormat = LogFormat.TEXT
    traces: bool = False

    @model_validator(mode="after")
    def _check_ports(self) -> ServerSettings:
        if self.private_port == self.port:
            raise ValueError("private_port must differ from port, which everybody can reach")
        return self


class ConsoleSettings(StrictModel):
    """``[console]``: the operators' pages; off without a password."""

    password: ConsolePassword = SecretStr("")
    trusted_proxies: tuple[NetworkAddress, ...] = ("127.0.0.1", "::1")
    """Whose X-Forwarded-For is believed: addresses or networks."""


class ApiSettings(StrictModel):
    """``[api]``: messages that other programs send; off without a token."""

    token: ApiToken = SecretStr("")


class RedisSettings(StrictModel):
    """``[redis]``: an empty URL means the embedded Valkey."""

    url: RedisAddress = ""


class TwilioSettings(StrictModel):
    """``[twilio]``: how its REST API is reached."""

    api_base_url: ApiAddress = ""
    timeout: Annotated[float, Field(gt=0, le=60)] = 10.0


class ConversationSettings(StrictModel):
    """``[conversations]``: expiry, interruption and replies of handlers' conversations."""

    expires_after: Annotated[float, Field(ge=1, le=31_536_000)] = 900.0
    leave_words: tuple[str, ...] = ("EXIT",)
    leave_reply: str = "OK, let us leave it there."
    leave_hint: str = ""
    interrupted_by: Interruptions = ("all",)
    expired_reply: str = ""
    try_again_reply: str = "Sorry, we cannot look that up right now. Please try again in a minute."


class LoopGuardSettings(StrictModel):
    """``[loop_guard]``: how many replies a contact gets without a quiet gap."""

    replies: Annotated[int, Field(ge=0, le=100_000)] = 30
    seconds: Annotated[float, Field(ge=1, le=86_400)] = 30.0
    reply: str = ""


class ReconcileSettings(StrictModel):
    """``[reconcile]``: the comparison of Twilio's message log with the journal."""

    on_start: ReconcileMode = ReconcileMode.REPORT
    interval: Annotated[float, Field(ge=0, le=86_400)] = 3600.0


class GroupSettings(StrictModel):
    """``[groups]``: group MMS."""

    answer: bool = False


class SandboxSettings(StrictModel):
    """``[sandbox]``: the offline Twilio."""

    port: Port = 8900


class SharedKey(StrictModel):
    """A SharedKey that signs webhooks in place of the auth token (facts 2.3)."""

    id: Annotated[str, Field(min_length=1)]
    secret: Secret


class AccountSettings(StrictModel):
    """``[[accounts]]``: an account or subaccount whose webhooks are accepted."""

    sid: AccountSid
    auth_token: Secret
    auth_token_secondary: PlainSecret = SecretStr("")
    shared_keys: tuple[SharedKey, ...] = ()

    @property
    def tokens(self) -> tuple[str, ...]:
        """The auth tokens that may sign, the primary one first."""
        both = (self.auth_token.get_secret_value(), self.auth_token_secondary.get_secret_value())
        return tuple(token for token in both if token)


class ServiceSettings(StrictModel):
    """``[[services]]``: a Messaging Service whose senders reply."""

    sid: ServiceSid
    account: AccountSid
    reply_from: ReplyFrom | None = None
    opt_out: OptOutAnswers = OptOutAnswers.ROUTER
    time_zone: TimeZone | None = None
    quiet_hours: QuietWindow | None = None
    refresh_after: Annotated[float, Field(ge=1, le=86_400)] = 60
    number_urls: bool | None = None
    language: LanguageCode | None = None


class RepliesSettings(StrictModel):
    """``[[replies]]``: the router's own replies in other words."""

    services: tuple[ServiceSid, ...] = ()
    language: LanguageCode | None = None
    error_reply: str | None = None
    fallback_reply: str | None = None
    muted_reply: str | None = None
    leave_reply: str | None = None
    leave_hint: str | None = None
    expired_reply: str | None = None
    try_again_reply: str | None = None
    stop_reply: str | None = None
    start_reply: str | None = None
    help_reply: str | None = None

    @property
    def table(self) -> ReplyTable:
        texts = {name: text for name in REPLY_NAMES if (text := getattr(self, name)) is not None}
        return ReplyTable(texts, self.services, self.language)


class SenderSettings(StrictModel):
    """``[[senders]]``: the rate limits of one sender, or of each of a kind, in segments."""

    number: SenderAddress | None = None
    kind: SenderKindName | None = None
    messages_per_second: Annotated[float, Field(gt=0, le=100_000)] | None = None
    daily_cap: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _check_table(self) -> SenderSettings:
        if (self.number is None) == (self.kind is None):
            raise ValueError('must name either a number, like number = "+14155550100", or a kind')
        if self.messages_per_second is None and self.daily_cap is None:
            raise ValueError("limits nothing: give messages_per_second, daily_cap or both")
        return self

    @property
    def limit(self) -> SenderLimit:
        return SenderLimit(self.messages_per_second, self.daily_cap)


class RouterConfig(StrictModel):
    """``router.toml``, with the environment laid over it."""

    model_config = ConfigDict(hide_input_in_errors=True)

    router: RouterSettings = RouterSettings()
    server: ServerSettings = ServerSettings()
    console: ConsoleSettings = ConsoleSettings()
    api: ApiSettings = ApiSettings()
    redis: RedisSettings = RedisSettings()
    twilio: TwilioSettings = TwilioSettings()
    conversations: ConversationSettings = ConversationSettings()
    loop_guard: LoopGuardSettings = LoopGuardSettings()
    reconcile: ReconcileSettings = ReconcileSettings()
    groups: GroupSettings = GroupSettings()
    sandbox: SandboxSettings = SandboxSettings()
    accounts: tuple[AccountSettings, ...] = ()
    services: tuple[ServiceSettings, ...] = ()
    replies: tuple[RepliesSettings, ...] = ()
    senders: tuple[SenderSettings, ...] = ()
    failures: WarningRule = WarningRule()

    @field_validator("senders")
    @classmethod
    def _check_duplicates(cls, senders: tuple[SenderSettings, ...]) -> tuple[SenderSettings, ...]:
        names = [table.number or table.kind for table in senders]
        duplicate = next((name for name in names if names.count(name) > 1), None)
        if duplicate is not None:
            raise ValueError(f"two tables for {duplicate}; keep one of them")
        return senders
