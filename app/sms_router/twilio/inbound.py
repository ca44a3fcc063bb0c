"""The inbound message, as Twilio's webhook describes it (facts 1.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sms_router.twilio.form import MalformedFormError, first_values, parse_form

REQUIRED = ("MessageSid", "AccountSid", "From", "To")
"""Without these a request cannot be claimed, journaled or answered."""

LONGEST_ADDRESS = 320
"""Characters; channel addresses are the longest that Twilio sends."""

MESSAGE_SID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_MOST_MEDIA = 10


@dataclass(frozen=True, slots=True)
class Media:
    """One picture or file that came with a message."""

    url: str
    content_type: str


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """One text that a person sent to one of our numbers.

    ``parameters`` holds everything that Twilio sent, also what it adds tomorrow; the
    named attributes are the ones that handlers ask for.
    """

    sid: str
    account_sid: str
    service_sid: str | None
    sender: str
    """``From``: the person, usually in E.164, sometimes a short code or a name."""
    recipient: str
    """``To``: the number of ours that was texted."""
    body: str
    parameters: Mapping[str, str]

    @property
    def words(self) -> tuple[str, ...]:
        """The body split at white space, as it was typed."""
        return tuple(self.body.split())

    @property
    def media(self) -> tuple[Media, ...]:
        """Pictures and files, in the order of Twilio's numbering."""
        count = min(_whole_number(self.parameters.get("NumMedia")), _MOST_MEDIA)
        found = (
            (self.parameters.get(f"MediaUrl{index}"), self.parameters.get(f"MediaContentType{index}", ""))
            for index in range(count)
        )
        return tuple(Media(url, content_type) for url, content_type in found if url)

    @property
    def segments(self) -> int:
        """How many segments the text was billed as; always 1 outside SMS and MMS."""
        return _whole_number(self.parameters.get("NumSegments")) or 1

    @property
    def from_country(self) -> str | None:
        """The sender's country (ISO 3166, two letters) where Twilio knows it."""
        return self.parameters.get("FromCountry") or None

    @property
    def from_city(self) -> str | None:
        """The city of the sender's number, not of the handset, where Twilio knows it."""
        return self.parameters.get("FromCity") or None

    @property
    def opt_out_type(self) -> str | None:
        """``STOP``, ``START`` or ``HELP`` when Advanced Opt-Out has already answered (facts 8)."""
        return self.parameters.get("OptOutType") or None


@dataclass(frozen=True, slots=True)
class InvalidWebhook:
    """A request that is not an inbound message, and why, in words for the log."""

    reason: str


def read_inbound(parameters: Mapping[str, str]) -> InboundMessage | InvalidWebhook:
    """Turn the webhook's parameters into a message, or say which one is missing or odd."""
    if (oddity := validate_parameters(parameters, REQUIRED)) is not None:
        return oddity
    return InboundMessage(
        parameters["MessageSid"],
        parameters["AccountSid"],
        parameters.get("MessagingServiceSid") or None,
        parameters["From"],
        parameters["To"],
        parameters.get("Body", ""),
        MappingProxyType(dict(parameters)),
    )


def parse_stored_request(request: bytes) -> InboundMessage | None:
    """Read a message from its parameters as they came, which the journal keeps; None for anything else."""
    try:
        message = read_inbound(first_values(parse_form(request)))
    except MalformedFormError:
        return None
    return message if isinstance(message, InboundMessage) else None


def validate_parameters(parameters: Mapping[str, str], required: Sequence[str]) -> InvalidWebhook | None:
    """Say what keeps a webhook about a message from being read, None when nothing does.

    ``required`` names what must be there; the sids of the message and its account are always among it.
    """
    for name in required:
        value = parameters.get(name)
        if not value:
            return InvalidWebhook(f"{name} is missing")
        if len(value) > LONGEST_ADDRESS:
            return InvalidWebhook(f"{name} is longer than {LONGEST_ADDRESS} characters")
    if not MESSAGE_SID.fullmatch(parameters["MessageSid"]):
        return InvalidWebhook("MessageSid does not look like one of Twilio's (SM or MM and 32 hex digits)")
    if not _ACCOUNT_SID.fullmatch(parameters["AccountSid"]):
        return InvalidWebhook("AccountSid does not look like one of Twilio's (AC and 32 hex digits)")
    return None


def _whole_number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0
