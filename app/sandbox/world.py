"""The world that the sandbox starts from: the account, its numbers and Services, phones and carriers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.sandbox.numbers import FIRST_DAY, Method, Number


@dataclass(frozen=True, slots=True)
class Service:
    """A Messaging Service, with the fields of Twilio's resource (facts 6.1).

    Empty URLs are Twilio's ``null``. ``senders`` are the sids of its numbers at the start.
    """

    sid: str
    friendly_name: str
    inbound_request_url: str = ""
    inbound_method: Method = Method.POST
    fallback_url: str = ""
    fallback_method: Method = Method.POST
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


@dataclass(frozen=True, slots=True)
class Carrier:
    """A phone company: what it lets through, and how long it takes.

    ``delay`` is the time in seconds from *sent* to the phone and its receipt.
    """

    name: str
    reaches_short_codes: bool = True
    mms: bool = True
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Phone:
    """Somebody's handset."""

    number: str
    carrier: Carrier


@dataclass(frozen=True, slots=True)
class World:
    """Everything that exists when the sandbox starts."""

    account_sid: str
    auth_token: str = field(repr=False)
    services: tuple[Service, ...]
    numbers: tuple[Number, ...]
    phones: Mapping[str, Phone]
    default_carrier: Carrier

    def phone(self, number: str) -> Phone:
        """Return the phone with this number; one that is not listed is on the default carrier."""
        return self.phones.get(number) or Phone(number, self.default_carrier)
