"""Settings: the environment and ``config/*.toml``, checked as a whole before anything starts.

Environment beats ``router.toml``, which beats the defaults. Every mistake is reported at once, by
its key, with the remedy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from sms_router.config.environment import EnvironmentOverlay, contradictions
from sms_router.config.models import AccountSettings, OptOutAnswers, RouterConfig, ServiceSettings
from sms_router.errors import ConfigurationError
from sms_router.routing.keywords.schedule import TimeZones
from sms_router.senders.models import ReplyFrom
from sms_router.senders.rate_limits import RateLimits
from sms_router.toml import format_validation_errors, read_toml
from sms_router.twilio.sids import PLACEHOLDER

DEFAULT_FOLDER = "config"

_REACHED_AT = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
"""Where a listener on every address is found; one on ``::`` may take IPv6 alone."""


def _loopback_url(host: str, port: int) -> str:
    host = _REACHED_AT.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class Settings(RouterConfig):
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
        return _loopback_url(self.server.host, self.server.port)

    @property
    def private_url(self) -> str:
        """Where this machine reaches the console, the metrics and the probes."""
        if self.server.private_port is None:
            return self.local_url
        return _loopback_url(self.server.private_host, self.server.private_port)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """What still says ``ACxxxx...`` or ``MGxxxx...``, as documentation does, by key."""
        sids = {
            "accounts": [account.sid for account in self.accounts],
            "services": [service.sid for service in self.services],
        }
        return tuple(
            f"{name}[{place}].sid"
            for name, listed in sids.items()
            for place, sid in enumerate(listed, 1)
            if PLACEHOLDER.fullmatch(sid)
        )

    @property
    def twilio_opt_outs(self) -> frozenset[str]:
        """The Services on whose short codes Twilio answers the opt-out words."""
        return frozenset(each.sid for each in self.services if each.opt_out is OptOutAnswers.TWILIO)

    @property
    def limits(self) -> RateLimits:
        """What each sender may send."""
        return RateLimits(
            {each.kind.kind: each.limit for each in self.senders if each.kind is not None},
            {each.number: each.limit for each in self.senders if each.number is not None},
        )

    @property
    def time_zones(self) -> TimeZones:
        """By which clock the hours of rules count."""
        of_services = {each.sid: each.time_zone for each in self.services if each.time_zone is not None}
        return TimeZones(self.router.time_zone, of_services)

    def account(self, sid: str) -> AccountSettings:
        """Return a configured account."""
        return next(each for each in self.accounts if each.sid == sid)

    def service(self, sid: str | None) -> ServiceSettings | None:
        """Return a Messaging Service, None when it is not configured."""
        return next((each for each in self.services if each.sid == sid), None)

    @property
    def reply_from(self) -> dict[str | None, ReplyFrom]:
        """The policy of each Service, by its sid; under None that of messages outside of any."""
        default = self.router.reply_from
        policies: dict[str | None, ReplyFrom] = {
            service.sid: service.reply_from or default for service in self.services
        }
        return {**policies, None: default}

    def number_urls(self, service_sid: str) -> bool:
        """Tell whether what no rule claims goes to the URL of the number that was texted."""
        service = self.service(service_sid)
        if service is None or service.number_urls is None:
            return self.router.number_urls
        return service.number_urls


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment and the configuration folder.

    Raises:
        SettingsError: with every mistake found, when there is one.

    """
    env = os.environ if environment is None else environment
    folder = Path(env.get("SMS_ROUTER_CONFIG") or DEFAULT_FOLDER)
    if not folder.is_dir():
        raise ConfigurationError(
            [f"SMS_ROUTER_CONFIG: {folder} is not a folder; export SMS_ROUTER_CONFIG=/path/to/config"]
        )
    layers = EnvironmentOverlay(folder / "router.toml", read_toml(folder / "router.toml"), env)
    layers.apply()
    tables, mistakes = _checked(layers)
    mistakes = [*layers.mistakes, *mistakes, *contradictions(layers)]
    if mistakes or tables is None:
        raise ConfigurationError(mistakes)
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


def _checked(layers: EnvironmentOverlay) -> tuple[RouterConfig | None, list[str]]:
    """Return the tables as models, or the mistakes in them that have not been told yet."""
    try:
        return RouterConfig.model_validate(layers.tables), []
    except ValidationError as error:
        return None, format_validation_errors(
            error, RouterConfig, layers.file, layers.variables, layers.reported
        )


_WithSid = TypeVar("_WithSid", AccountSettings, ServiceSettings)


def _first(tables: tuple[_WithSid, ...], sid: str | None) -> tuple[_WithSid, ...]:
    """Put the one that the environment names before the others: commands speak for the first."""
    return tuple(sorted(tables, key=lambda table: table.sid != sid))
