"""Which sender of its pool a Service uses, for messages sent by REST (facts 5.1, 5.2).

A first version: kinds in Twilio's order, the recipient's country before the others. Sticky
Sender, area code geomatch, idle senders and alphanumeric senders come here.
"""

from __future__ import annotations

from app.sandbox.acceptance import sender_suits
from app.sandbox.account import Account
from app.sandbox.numbers import Number, NumberKind, country_of

_ORDER = {NumberKind.SHORT_CODE: 0, NumberKind.LONG_CODE: 1, NumberKind.TOLL_FREE: 1}
_ORDER_IN_CANADA = {NumberKind.SHORT_CODE: 0, NumberKind.TOLL_FREE: 1, NumberKind.LONG_CODE: 2}


def choose_sender(account: Account, service_sid: str, recipient: str, *, with_media: bool) -> Number | None:
    """Return the number that a Service sends from, or None when none can reach the recipient (21703)."""
    country = country_of(recipient)
    order = _ORDER_IN_CANADA if country == "CA" else _ORDER
    pool = (account.number(member.sid) for member in account.members(service_sid))
    fit = [
        number
        for number in pool
        if number
        and number.capabilities.sms
        and sender_suits(number, recipient)
        and (number.capabilities.mms or not with_media)
    ]
    return min(
        fit,
        key=lambda number: (order[number.kind], number.country != country, number.country != "US"),
        default=None,
    )
