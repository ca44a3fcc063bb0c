"""The settings: environment variables over ``router.toml`` over the defaults.

They are validated as a whole before anything starts. All mistakes are reported at once, each with its key and
the remedy.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from sms_router.config.environment import EnvironmentOverlay, find_conflicts, service_sids
from sms_router.config.models import AccountSettings, OptOutAnswers, Privacy, RouterConfig, ServiceSettings
from sms_router.errors import ConfigurationError
from sms_router.routing.keywords.own_replies import OwnReplies
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.routing.pipeline.quiet_hours import QuietHours
from sms_router.senders.models import ReplyFrom, Tenancy
from sms_router.senders.rate_limits import RateLimits
from sms_router.toml import format_validation_errors, read_toml
from sms_router.twilio.message_log import MessageLog
from sms_router.twilio.rest import build_client
from sms_router.twilio.sids import PLACEHOLDER
from sms_router.twilio.signature import Credentials

if TYPE_CHECKING:
    from twilio.rest import Client

DEFAULT_FOLDER = "config"

_PACKAGE = Path(__file__).parents[1]
IS_WHEEL = (_PACKAGE / "demo").is_dir()
"""Whether this is an installed package, not a clone."""

DEMO_FOLDER = _PACKAGE / "demo" / "config" if IS_WHEEL else _PACKAGE.parents[1] / "config"
"""The demo's configuration: pyproject.toml puts that of the clone into the wheel."""

DEMO_HANDLERS = _PACKAGE / "demo" / "handlers" if IS_WHEEL else _PACKAGE.parent / "handlers"
"""The package of the demo's handlers."""

_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""How a listener on all addresses is reached from this machine; one on ``::`` may accept IPv6 only."""


def _loopback_url(host: str, port: int) -> str:
    host = _LOOPBACK.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class Settings(RouterConfig):
    """All settings, frozen."""

    folder: Path
    """The configuration folder, with ``router.toml`` and ``keywords.toml``."""

    @property
    def is_offline(self) -> bool:
        """Whether there are no Twilio credentials, so that the sandbox is used in place of Twilio."""
        return not self.accounts

    @property
    def uses_sandbox(self) -> bool:
        """Whether Twilio's API is one on this machine, whose numbers have URLs on this machine too."""
        host = urlsplit(self.twilio.api_base_url).hostname or ""
        return self.is_offline or host in ("127.0.0.1", "localhost", "::1")

    @property
    def is_open(self) -> bool:
        """Whether numbers and texts are shown in full everywhere."""
        return self.router.privacy is Privacy.OPEN

    @property
    def public_url(self) -> str:
        """The URL that Twilio calls, without a slash at the end."""
        return self.router.public_url or self.local_url

    @property
    def local_url(self) -> str:
        return _loopback_url(self.server.host, self.server.port)

    @property
    def private_url(self) -> str:
        """The URL of the console, the metrics and the probes on this machine."""
        if self.server.private_port is None:
            return self.local_url
        return _loopback_url(self.server.private_host, self.server.private_port)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The keys whose value is a placeholder of documentation, such as ``ACxxxx...``."""
        sids = {
            "accounts": [account.sid for account in self.accounts],
            "services": [service.sid for service in self.services],
        }
        return tuple(
            f"{name}[{number}].sid"
            for name, of_table in sids.items()
            for number, sid in enumerate(of_table, 1)
            if PLACEHOLDER.fullmatch(sid)
        )

    @property
    def twilio_opt_outs(self) -> frozenset[str]:
        """The Services on whose short codes Twilio answers the opt-out keywords."""
        return frozenset(service.sid for service in self.services if service.opt_out is OptOutAnswers.TWILIO)

    @property
    def limits(self) -> RateLimits:
        return RateLimits(
            {table.kind.kind: table.limit for table in self.senders if table.kind is not None},
            {table.number: table.limit for table in self.senders if table.number is not None},
        )

    @property
    def time_zones(self) -> TimeZones:
        by_service = {
            service.sid: service.time_zone for service in self.services if service.time_zone is not None
        }
        return TimeZones(self.router.time_zone, by_service)

    @property
    def quiet_hours(self) -> QuietHours:
        """When messages that are no replies wait."""
        by_service = {
            service.sid: service.quiet_hours for service in self.services if service.quiet_hours is not None
        }
        return QuietHours(self.router.quiet_hours, by_service, self.time_zones)

    @property
    def own_replies(self) -> OwnReplies:
        """The router's own replies in other words than the defaults."""
        languages = {service.sid: service.language for service in self.services if service.language}
        return OwnReplies([table.table for table in self.replies], languages)

    def tenancy(self, numbers: Mapping[str, str]) -> Tenancy | None:
        """Return which account owns what, given that of each number; None where there is one account."""
        if len(self.accounts) < 2:
            return None
        return Tenancy({service.sid: service.account for service in self.services}, numbers)

    def account(self, sid: str) -> AccountSettings:
        return next(account for account in self.accounts if account.sid == sid)

    def service(self, sid: str | None) -> ServiceSettings | None:
        return next((service for service in self.services if service.sid == sid), None)

    @property
    def credentials(self) -> dict[str, Credentials]:
        """What webhooks are signed with, by account."""
        return {
            account.sid: Credentials(
                account.sid,
                account.tokens,
                {key.id: key.secret.get_secret_value() for key in account.shared_keys},
            )
            for account in self.accounts
        }

    def rest_client(self, account_sid: str) -> Client:
        token, twilio = self.account(account_sid).tokens[0], self.twilio
        return build_client(account_sid, token, twilio.api_base_url, twilio.timeout)

    def message_log(
        self, account_sid: str, pause: float = 0.1, sleep: Callable[[float], object] = time.sleep
    ) -> MessageLog:
        """Return Twilio's message log of a configured account; see `MessageLog` for the arguments."""
        client = self.rest_client(account_sid)
        return MessageLog(client, account_sid, self.twilio.api_base_url, pause, sleep)

    @property
    def reply_from(self) -> dict[str | None, ReplyFrom]:
        """The policy of each Service, by its sid; under None that of messages outside of any."""
        default = self.router.reply_from
        policies: dict[str | None, ReplyFrom] = {
            service.sid: service.reply_from or default for service in self.services
        }
        return {**policies, None: default}

    def number_urls(self, service_sid: str) -> bool:
        """Return whether texts that match no rule are forwarded to the own URL of the texted number."""
        service = self.service(service_sid)
        if service is None or service.number_urls is None:
            return self.router.number_urls
        return service.number_urls


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment and the configuration folder.

    Raises:
        ConfigurationError: with all mistakes.

    """
    variables = os.environ if environment is None else environment
    folder = _find_folder(variables)
    if not folder.is_dir():
        remedy = "export SMS_ROUTER_CONFIG=/path/to/config, or make a project: sms-router init shop"
        raise ConfigurationError([f"SMS_ROUTER_CONFIG: {folder} is not a folder; {remedy}"])
    overlay = EnvironmentOverlay(folder / "router.toml", read_toml(folder / "router.toml"), variables)
    overlay.apply()
    tables, mistakes = _validate(overlay)
    mistakes = [*overlay.mistakes, *mistakes, *find_conflicts(overlay)]
    if mistakes or tables is None:
        raise ConfigurationError(mistakes)
    ordered = {
        "accounts": _first(tables.accounts, variables.get("TWILIO_ACCOUNT_SID")),
        "services": _first(tables.services, next(iter(service_sids(variables)), None)),
    }
    settings = Settings(folder=folder, **dict(tables) | ordered)
    sandbox = overlay.sandbox_account
    if any(account.sid == sandbox for account in settings.accounts) and not settings.uses_sandbox:
        if variables.get("TWILIO_ACCOUNT_SID") == sandbox:
            url = f"http://127.0.0.1:{settings.sandbox.port}"
            return settings.model_copy(
                update={"twilio": settings.twilio.model_copy(update={"api_base_url": url})}
            )
        sentence = (
            "is the sandbox's account, which Twilio does not have; remove its table: without credentials the"
            " sandbox is started, and [[services]] need no account"
        )
        raise ConfigurationError([f"{overlay.file}: accounts: {sandbox} {sentence}"])
    return settings


def _find_folder(variables: Mapping[str, str]) -> Path:
    """Return the configuration folder: the demo's where there is none, and no credentials of Twilio.

    A ``config`` folder of another program has neither of the router's files.
    """
    folder = Path(variables.get("SMS_ROUTER_CONFIG") or DEFAULT_FOLDER)
    is_given = variables.get("SMS_ROUTER_CONFIG") or any(name.startswith("TWILIO_") for name in variables)
    if is_given or any((folder / name).is_file() for name in ("router.toml", "keywords.toml")):
        return folder
    return DEMO_FOLDER


def _validate(overlay: EnvironmentOverlay) -> tuple[RouterConfig | None, list[str]]:
    """Return the tables as models, or the mistakes that are not reported yet."""
    try:
        return RouterConfig.model_validate(overlay.tables), []
    except ValidationError as error:
        return None, format_validation_errors(
            error, RouterConfig, overlay.file, overlay.variables, overlay.reported
        )


_WithSid = TypeVar("_WithSid", AccountSettings, ServiceSettings)


def _first(tables: tuple[_WithSid, ...], sid: str | None) -> tuple[_WithSid, ...]:
    """Put the table with this sid first: commands use the first."""
    return tuple(sorted(tables, key=lambda table: table.sid != sid))
