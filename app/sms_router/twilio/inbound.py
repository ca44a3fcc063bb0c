"""The inbound message and the parameters of Twilio's webhook (facts 1.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from types import MappingProxyType

from sms_router.twilio.form import MalformedFormError, first_values, parse_form
from sms_router.twilio.reactions import Reaction, parse_reaction

REQUIRED_PARAMETERS = ("MessageSid", "AccountSid", "From", "To")
"""Without them a message cannot be claimed, stored or answered."""

MAX_ADDRESS_LENGTH = 320
"""Characters of a sid or an address; channel addresses are the longest that Twilio sends."""

GROUP_PARAMETER = "OtherRecipients0"
"""Present in a group MMS: the first of the other people who have received it (facts 11)."""

MESSAGE_SID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_MAX_MEDIA = 10


@dataclass(frozen=True, slots=True)
class Media:
    """A picture or file of an inbound message."""

    url: str
    """Where Twilio stores it."""
    content_type: str
    """Its MIME type, such as ``image/jpeg``."""


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A text that a contact has sent to one of our numbers.

    The attributes have the values of Twilio's parameters; ``parameters`` has all of them, also those that
    Twilio adds in the future.
    """

    sid: str
    """``MessageSid``: ``SM`` or ``MM`` and 32 hexadecimal digits."""
    account_sid: str
    """``AccountSid``: the account that owns the texted number."""
    service_sid: str | None
    """``MessagingServiceSid``; None if the number belongs to no Messaging Service."""
    sender: str
    """``From``: the contact, usually in E.164, sometimes a short code, a name or ``channel:address``."""
    recipient: str
    """``To``: our number that was texted."""
    body: str
    """``Body``, as the contact typed it."""
    parameters: Mapping[str, str]
    """Every parameter of the webhook by name; of a repeated one, the first value."""
    contact: str = field(init=False)
    """The id of the contact who sent it: the number, also by RCS, or ``channel:address``."""

    def __post_init__(self) -> None:
        sender = self.sender
        # As `contact_of`, without a call: each message takes it.
        object.__setattr__(self, "contact", sender[4:] if sender[:4] == "rcs:" else sender)

    @property
    def reaction(self) -> Reaction | None:
        """The reaction that the text is, such as ``Liked “See you at 9”``; None for any other text."""
        return parse_reaction(self.body)

    @property
    def is_group_message(self) -> bool:
        """Whether it is a group MMS, which other people have received too (facts 11)."""
        return GROUP_PARAMETER in self.parameters

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the body, split at white space, as typed."""
        return tuple(self.body.split())

    @property
    def media(self) -> tuple[Media, ...]:
        """The pictures and files of the message, at most ten, in Twilio's order."""
        count = min(_parse_count(self.parameters.get("NumMedia")), _MAX_MEDIA)
        pairs = (
            (self.parameters.get(f"MediaUrl{index}"), self.parameters.get(f"MediaContentType{index}", ""))
            for index in range(count)
        )
        return tuple(Media(url, content_type) for url, content_type in pairs if url)

    @property
    def segments(self) -> int:
        """The number of segments for which the text is billed; 1 for channels other than SMS."""
        return _parse_count(self.parameters.get("NumSegments")) or 1

    @property
    def is_outbound(self) -> bool:
        """Whether it stands for a message of ours that is no reply, and was never received."""
        return self.parameters.get("Direction") == "outbound-api"

    @property
    def from_country(self) -> str | None:
        """The country of the contact's number (ISO 3166, two letters); None if Twilio does not know it."""
        return self.parameters.get("FromCountry") or None

    @property
    def from_city(self) -> str | None:
        """The city of the contact's number, not of the phone; None if Twilio does not know it."""
        return self.parameters.get("FromCity") or None

    @property
    def opt_out_type(self) -> str | None:
        """``STOP``, ``START`` or ``HELP`` if Advanced Opt-Out has answered the message already (facts 8)."""
        return self.parameters.get("OptOutType") or None


@dataclass(frozen=True, slots=True)
class InvalidWebhook:
    """A request that is no valid webhook about a message, and the reason for the log."""

    reason: str


def parse_inbound(parameters: Mapping[str, str]) -> InboundMessage | InvalidWebhook:
    """Return the message that the parameters of a webhook describe, or why there is none."""
    if (invalid := validate_parameters(parameters, REQUIRED_PARAMETERS)) is not None:
        return invalid
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
    """Parse a stored request, which is the webhook's form; return None if it is no valid message."""
    try:
        message = parse_inbound(first_values(parse_form(request)))
    except MalformedFormError:
        return None
    return message if isinstance(message, InboundMessage) else None


def validate_parameters(parameters: Mapping[str, str], required: Sequence[str]) -> InvalidWebhook | None:
    """Return why a webhook about a message is invalid; None if it is valid.

    ``required`` are the names that must be present; ``MessageSid`` and ``AccountSid`` are among them.
    """
    values = list(map(parameters.get, required, repeat("")))
    if not all(values):
        return InvalidWebhook(f"{required[values.index('')]} is missing")
    if max(map(len, values)) > MAX_ADDRESS_LENGTH:
        name = next(name for name in required if len(parameters[name]) > MAX_ADDRESS_LENGTH)
        return InvalidWebhook(f"{name} is longer than {MAX_ADDRESS_LENGTH} characters")
    if not MESSAGE_SID.fullmatch(parameters["MessageSid"]):
        return InvalidWebhook("MessageSid is not SM or MM and 32 hexadecimal digits")
    if not _ACCOUNT_SID.fullmatch(parameters["AccountSid"]):
        return InvalidWebhook("AccountSid is not AC and 32 hexadecimal digits")
    return None


def _parse_count(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 0
