"""Which sender of its pool a Service uses, for messages sent by REST (facts 5.1, 5.2).

The kinds in Twilio's order; within the best kind Country Code Geomatch, Sticky Sender, Area Code
Geomatch, and then the one that has been idle longest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from sms_router.sandbox.sending.validation import WITHOUT_ALPHANUMERIC, sender_suits
from sms_router.sandbox.state.account import Account, Member
from sms_router.sandbox.world.numbers import NumberKind, country_of
from sms_router.sandbox.world.world import Service
from sms_router.twilio.area_codes import overlays_of

MOST_STICKY = 100_000
"""Remembered pairs of a Service and a person."""

_ALPHANUMERIC = 1
_ORDER = {NumberKind.SHORT_CODE: 0, NumberKind.LONG_CODE: 2, NumberKind.TOLL_FREE: 2}
_ORDER_IN_CANADA = {NumberKind.SHORT_CODE: 0, NumberKind.TOLL_FREE: 2, NumberKind.LONG_CODE: 3}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sender that could carry the message; alphanumeric ones belong to no country."""

    address: str
    rank: int
    country: str


class Selection:
    """Chooses senders and remembers the choices."""

    def __init__(self, account: Account) -> None:
        """Choose from the pools of ``account``."""
        self._account = account
        self._sticky: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._used: dict[str, int] = {}
        self._turns = count(1)

    def choose(self, service: Service, recipient: str, *, with_media: bool) -> str | None:
        """Return the sender's address, or None when none can reach the recipient (21703).

        INFERENCE: SMS and MMS share one sticky mapping.
        """
        country = country_of(recipient)
        fit = list(self._fit(service, recipient, country, with_media=with_media))
        if not fit:
            return None
        best = min(candidate.rank for candidate in fit)
        near = _geomatched([candidate for candidate in fit if candidate.rank == best], country)
        chosen = self._stuck(service, recipient, near) or self._idle(service, recipient, near)
        self._remember(service, recipient, chosen)
        return chosen

    def _fit(
        self, service: Service, recipient: str, country: str, *, with_media: bool
    ) -> Iterator[_Candidate]:
        for member in self._account.members(service.sid):
            candidate = self._candidate(member, recipient, country, with_media=with_media)
            if candidate:
                yield candidate

    def _candidate(
        self, member: Member, recipient: str, country: str, *, with_media: bool
    ) -> _Candidate | None:
        if member.alpha_sender:
            if with_media or country in WITHOUT_ALPHANUMERIC:
                return None
            return _Candidate(member.alpha_sender, _ALPHANUMERIC, "")
        number = self._account.number(member.sid)
        if number is None or not number.capabilities.sms or not sender_suits(number, recipient):
            return None
        if with_media and not number.capabilities.mms:
            return None
        order = _ORDER_IN_CANADA if country == "CA" else _ORDER
        return _Candidate(number.address, order[number.kind], number.country)

    def _stuck(self, service: Service, recipient: str, near: list[str]) -> str | None:
        """Return the mapped sender, unless another country's, kind's or routing's turn has come."""
        mapped = self._sticky.get((service.sid, recipient)) if service.sticky_sender else None
        return mapped if mapped in near else None

    def _idle(self, service: Service, recipient: str, near: list[str]) -> str:
        local = [address for address in near if service.area_code_geomatch and _same_area(address, recipient)]
        return min(local or near, key=lambda address: self._used.get(address, 0))

    def _remember(self, service: Service, recipient: str, chosen: str) -> None:
        """Keep the mapping, as Twilio does until it is used no more; toggled off, nothing new is kept."""
        self._used[chosen] = next(self._turns)
        if service.sticky_sender:
            self._sticky[service.sid, recipient] = chosen
            self._sticky.move_to_end((service.sid, recipient))
            if len(self._sticky) > MOST_STICKY:
                self._sticky.popitem(last=False)


def _same_area(first: str, second: str) -> bool:
    """Say whether two numbers of +1 have the same area code, or overlaid ones; no proximity counts."""
    if not (first.startswith("+1") and second.startswith("+1")):
        return False
    return second[2:5] in overlays_of(first[2:5])


def _geomatched(candidates: list[_Candidate], country: str) -> list[str]:
    """Return the senders of the recipient's country, else those of the US, else all."""
    for wanted in (country, "US"):
        local = [candidate.address for candidate in candidates if candidate.country == wanted]
        if local:
            return local
    return [candidate.address for candidate in candidates]
