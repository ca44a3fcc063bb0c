"""Which sender of its pool a Service selects for messages sent by REST (facts 5.1, 5.2).

The kinds in Twilio's order; within the best kind Country Code Geomatch, Sticky Sender, Area Code
Geomatch, and then the least recently used one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import count

from sms_router.sandbox.state.account import Account, PoolMember
from sms_router.sandbox.world.numbers import WITHOUT_ALPHANUMERIC, NumberKind, country_of
from sms_router.sandbox.world.world import Service
from sms_router.twilio.area_codes import overlays_of

MAX_STICKY = 100_000
"""Stored pairs of a Service and a person."""

_ALPHANUMERIC = 1
_ORDER = {NumberKind.SHORT_CODE: 0, NumberKind.LONG_CODE: 2, NumberKind.TOLL_FREE: 2}
_ORDER_IN_CANADA = {NumberKind.SHORT_CODE: 0, NumberKind.TOLL_FREE: 2, NumberKind.LONG_CODE: 3}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sender that can send the message; alphanumeric ones have no country."""

    address: str
    rank: int
    country: str


class PoolSelector:
    """Selects senders, and stores the selection for Sticky Sender."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._sticky: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._last_used: dict[str, int] = {}
        self._counter = count(1)

    def select(self, service: Service, recipient: str, *, with_media: bool) -> str | None:
        """Return the sender's address, or None when none can reach the recipient (21703).

        INFERENCE: SMS and MMS share one sticky mapping.
        """
        country = country_of(recipient)
        candidates = [
            candidate
            for member in self._account.members(service.sid)
            if (candidate := self._candidate(member, recipient, country, with_media=with_media))
        ]
        if not candidates:
            return None
        best = min(candidate.rank for candidate in candidates)
        addresses = _geomatched([candidate for candidate in candidates if candidate.rank == best], country)
        sender = self._sticky.get((service.sid, recipient)) if service.sticky_sender else None
        if sender is None or sender not in addresses:
            sender = self._least_recently_used(service, recipient, addresses)
        self._store(service, recipient, sender)
        return sender

    def _candidate(
        self, member: PoolMember, recipient: str, country: str, *, with_media: bool
    ) -> _Candidate | None:
        if member.alpha_sender:
            if with_media or country in WITHOUT_ALPHANUMERIC:
                return None
            return _Candidate(member.alpha_sender, _ALPHANUMERIC, "")
        number = self._account.number(member.sid)
        if number is None or not number.capabilities.sms or not number.can_text(recipient):
            return None
        if with_media and not number.capabilities.mms:
            return None
        order = _ORDER_IN_CANADA if country == "CA" else _ORDER
        return _Candidate(number.address, order[number.kind], number.country)

    def _least_recently_used(self, service: Service, recipient: str, addresses: list[str]) -> str:
        local = [
            address for address in addresses if service.area_code_geomatch and _same_area(address, recipient)
        ]
        return min(local or addresses, key=lambda address: self._last_used.get(address, 0))

    def _store(self, service: Service, recipient: str, sender: str) -> None:
        """With Sticky Sender off, the old mapping stays and no new one is stored, as at Twilio."""
        self._last_used[sender] = next(self._counter)
        if service.sticky_sender:
            self._sticky[service.sid, recipient] = sender
            self._sticky.move_to_end((service.sid, recipient))
            if len(self._sticky) > MAX_STICKY:
                self._sticky.popitem(last=False)


def _same_area(first: str, second: str) -> bool:
    """Return whether two numbers of +1 have the same area code, or overlaid ones."""
    if not (first.startswith("+1") and second.startswith("+1")):
        return False
    return second[2:5] in overlays_of(first[2:5])


def _geomatched(candidates: list[_Candidate], country: str) -> list[str]:
    """Return the senders of the recipient's country, else those of the US, else all."""
    for preferred in (country, "US"):
        local = [candidate.address for candidate in candidates if candidate.country == preferred]
        if local:
            return local
    return [candidate.address for candidate in candidates]
