"""The world that the sandbox starts from: the account, its numbers and Services, phones and carriers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from pydantic import field_validator

from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.numbers import FIRST_DAY, HttpMethod, Number
from sms_router.sandbox.world.opt_out_keywords import OptOutKeywordList
from sms_router.sandbox.world.types import ErrorCode, ErrorCodeKey, Flag, Seconds, Share
from sms_router.toml import StrictModel


@dataclass(frozen=True, slots=True)
class Service:
    """A Messaging Service, with the fields of Twilio's resource (facts 6.1).

    Empty URLs are Twilio's ``null``. ``senders`` are the sids of its numbers at the start.
    ``advanced_opt_out`` and ``opt_out_lists`` have no REST: the console alone sets them (facts 8).
    """

    sid: str
    friendly_name: str
    inbound_request_url: str = ""
    inbound_method: HttpMethod = HttpMethod.POST
    fallback_url: str = ""
    fallback_method: HttpMethod = HttpMethod.POST
    status_callback: str = ""
    use_inbound_webhook_on_number: bool = False
    sticky_sender: bool = True
    mms_converter: bool = True
    smart_encoding: bool = True
    scan_message_content: str = "inherit"
    fallback_to_long_code: bool = True
    area_code_geomatch: bool = True
    validity_period: int = 36000
    synchronous_validation: bool = False
    usecase: str = "undeclared"
    created: datetime = FIRST_DAY
    updated: datetime = FIRST_DAY
    senders: tuple[str, ...] = ()
    advanced_opt_out: bool = False
    opt_out_lists: tuple[OptOutKeywordList, ...] = ()


class Carrier(StrictModel):
    """A phone company: what it delivers, and how long it takes; the form of ``[[carriers]]``."""

    name: str
    reaches_short_codes: Flag = True
    short_code_error: ErrorCode = 30006
    """What a carrier without short codes reports (facts 7.1: 30003 and 30006 both occur)."""
    mms: Flag = True
    delay: Seconds = 0.0
    """From *sent* to the phone and its receipt."""
    filters: tuple[str, ...] = ()
    """Messages that contain one of these words end as 30007."""
    drops: Mapping[ErrorCodeKey, Share] = {}
    """The share of messages, from 0 to 1, that end with each error code."""

    @field_validator("drops")
    @classmethod
    def _at_most_all(cls, drops: Mapping[int, float]) -> Mapping[int, float]:
        if sum(drops.values()) > 1:
            raise ValueError("the shares add up to more than 1")
        return drops


class PhoneState(Enum):
    """Whether a phone can receive texts."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"
    LANDLINE = "landline"


@dataclass(frozen=True, slots=True)
class Phone:
    """A person's phone."""

    number: str
    carrier: Carrier
    state: PhoneState = PhoneState.ON


@dataclass(frozen=True, slots=True)
class ReverseProxy:
    """The proxy behind a customer's public URL. Both URLs have no slash at the end.

    The router can be called under its future public URL, over which webhooks are signed, before that
    name resolves; a path in ``public_url`` is removed on the way.
    """

    public_url: str
    local_url: str

    def forward(self, url: str) -> str:
        """Return the local URL for this one; a URL of another application is unchanged."""
        rest = url.removeprefix(self.public_url)
        return self.local_url + rest if rest != url and rest[:1] in ("", "/", "?") else url


@dataclass(frozen=True, slots=True)
class World:
    """Everything that exists when the sandbox starts."""

    account_sid: str
    auth_token: str = field(repr=False)
    services: tuple[Service, ...]
    numbers: tuple[Number, ...]
    carriers: Mapping[str, Carrier]
    phones: Mapping[str, Phone]
    default_carrier: Carrier
    permitted_countries: frozenset[str] = frozenset()
    """The countries that the account may send to; empty for all."""
    faults: FaultSet = FaultSet()  # noqa: RUF009 (a frozen value)
    proxy: ReverseProxy | None = None
    """None when the customer's URLs can be called directly."""

    def phone(self, number: str) -> Phone:
        """Return the phone with this number; one that is not listed is on the default carrier."""
        return self.phones.get(number) or Phone(number, self.default_carrier)
