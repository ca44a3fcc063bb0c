"""The world that the sandbox starts from: the account, its numbers and Services, phones and carriers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from sms_router.sandbox.world.fault import FaultSet
from sms_router.sandbox.world.numbers import FIRST_DAY, HttpMethod, Number
from sms_router.sandbox.world.opt_out_keywords import WordList
from sms_router.sandbox.world.proxy import ReverseProxy


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
    opt_out_lists: tuple[WordList, ...] = ()


@dataclass(frozen=True, slots=True)
class Carrier:
    """A phone company: what it lets through, and how long it takes.

    ``delay`` is the time in seconds from *sent* to the phone and its receipt. ``filters`` are
    words that end as 30007. ``drops`` holds the share of messages, from 0 to 1, that end as each
    error code. ``short_code_error`` is what a carrier without short codes reports (facts 7.1: 30003
    and 30006 both happen).
    """

    name: str
    reaches_short_codes: bool = True
    short_code_error: int = 30006
    mms: bool = True
    delay: float = 0.0
    filters: tuple[str, ...] = ()
    drops: Mapping[int, float] = field(default_factory=dict)


class PhoneState(Enum):
    """What a number leads to."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"
    LANDLINE = "landline"


@dataclass(frozen=True, slots=True)
class Phone:
    """Somebody's handset."""

    number: str
    carrier: Carrier
    state: PhoneState = PhoneState.ON


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
    """Where the account may send to; empty for everywhere."""
    faults: FaultSet = FaultSet()  # noqa: RUF009 (a frozen value)
    proxy: ReverseProxy | None = None
    """Where the customer's public URL leads; None when it can be called as it is."""

    def phone(self, number: str) -> Phone:
        """Return the phone with this number; one that is not listed is on the default carrier."""
        return self.phones.get(number) or Phone(number, self.default_carrier)
