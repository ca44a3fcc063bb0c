"""What happens to a message between Twilio and the handset: carried, or turned away with a code.

INFERENCE: the order in which the reasons are looked at, where several hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sms_router.sandbox.state.messages import Message
from sms_router.sandbox.world.numbers import is_short_code
from sms_router.sandbox.world.world import Carrier, Phone, PhoneState

_DEAD_ENDS = {PhoneState.LANDLINE: 30006, PhoneState.UNKNOWN: 30005}


@dataclass(frozen=True, slots=True)
class Transit:
    """One message on its way to one phone.

    ``network_blocked``: the toll-free network keeps it back (facts 8). ``as_link``: the Service's MMS
    Converter may replace pictures by a link (facts 5.2). ``luck`` is a number from 0 to 1.
    """

    message: Message
    phone: Phone
    network_blocked: bool
    as_link: bool
    luck: float


def rejection(journey: Transit) -> int | None:
    """Return the error code with which a message ends as undelivered, or None when it arrives."""
    carrier, phone = journey.phone.carrier, journey.phone
    if journey.network_blocked:
        return 30004
    if phone.state in _DEAD_ENDS:
        return _DEAD_ENDS[phone.state]
    if is_short_code(journey.message.sender or "") and not carrier.reaches_short_codes:
        return carrier.short_code_error
    if _filtered(carrier, journey.message.body):
        return 30007
    if journey.message.media and not carrier.mms and not journey.as_link:
        return 30011
    return _dropped(carrier.drops, journey.luck) or (30003 if phone.state is PhoneState.OFF else None)


def shown_content(journey: Transit, link: str) -> tuple[str, tuple[str, ...]]:
    """Return the text and the media that the phone shows."""
    message = journey.message
    if not message.media or journey.phone.carrier.mms:
        return message.body, message.media
    return f"{message.body} {link}".strip(), ()


def _filtered(carrier: Carrier, body: str) -> bool:
    words = set(re.findall(r"\w+", body.casefold()))
    return any(word.casefold() in words for word in carrier.filters)


def _dropped(drops: Mapping[int, float], luck: float) -> int | None:
    for code, share in drops.items():
        luck -= share
        if luck < 0:
            return code
    return None
