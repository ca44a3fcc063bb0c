"""What happens to a message between Twilio and the phone: it is delivered, or ends with an error code.

INFERENCE: the order in which the reasons are checked, where there are several.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sms_router.sandbox.state.messages import Message
from sms_router.sandbox.world.numbers import is_short_code
from sms_router.sandbox.world.world import Carrier, Phone, PhoneState

_UNDELIVERABLE = {PhoneState.LANDLINE: 30006, PhoneState.UNKNOWN: 30005}


@dataclass(frozen=True, slots=True)
class Transit:
    """One message on its way to one phone."""

    message: Message
    phone: Phone
    is_network_blocked: bool
    """True when the toll-free network blocks it (facts 8)."""
    converts_media: bool
    """True when the Service's MMS Converter may replace pictures by a link (facts 5.2)."""
    random_share: float
    """From 0 to 1; it decides whether the carrier drops the message."""


def delivery_error(transit: Transit) -> int | None:
    """Return the error code with which a message ends as undelivered, or None when it is delivered."""
    carrier, phone = transit.phone.carrier, transit.phone
    if transit.is_network_blocked:
        return 30004
    if phone.state in _UNDELIVERABLE:
        return _UNDELIVERABLE[phone.state]
    if is_short_code(transit.message.sender or "") and not carrier.reaches_short_codes:
        return carrier.short_code_error
    if _filtered(carrier, transit.message.body):
        return 30007
    if transit.message.media and not carrier.mms and not transit.converts_media:
        return 30011
    return _dropped(carrier.drops, transit.random_share) or (30003 if phone.state is PhoneState.OFF else None)


def shown_content(transit: Transit, link: str) -> tuple[str, tuple[str, ...]]:
    """Return the text and the media that the phone shows."""
    message = transit.message
    if not message.media or transit.phone.carrier.mms:
        return message.body, message.media
    return f"{message.body} {link}".strip(), ()


def _filtered(carrier: Carrier, body: str) -> bool:
    words = set(re.findall(r"\w+", body.casefold()))
    return any(word.casefold() in words for word in carrier.filters)


def _dropped(drops: Mapping[int, float], random_share: float) -> int | None:
    for code, share in drops.items():
        random_share -= share
        if random_share < 0:
            return code
    return None
