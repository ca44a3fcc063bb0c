"""The senders of one Messaging Service, indexed once so that ten thousand cost what ten do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from sms_router.senders.candidates import CandidateIndex, Group, build_index
from sms_router.senders.decision import Decision
from sms_router.senders.models import Capability, Sender
from sms_router.senders.request import ReplyFrom

_MOST_LINEUPS = 512
"""Countries times needs; beyond it the countries are not real ones."""
_MOST_DECISIONS = 4096
"""Places that are remembered; some 4 MB at the most."""

Place = tuple[str | None, str | None, int, str, ReplyFrom, str | None, bool]
"""All of a request but the person: country, area code, needs, texted, policy, wish, one-way."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The senders of a Service in one version."""

    service_sid: str
    version: int
    senders: tuple[Sender, ...]
    _addresses: Mapping[str, Sender | tuple[Sender, ...]] = field(init=False, repr=False, compare=False)
    _arrangements: dict[Capability, CandidateIndex] = field(init=False, repr=False, compare=False)
    _lineups: dict[tuple[str | None, int], tuple[Group, ...]] = field(init=False, repr=False, compare=False)
    _decisions: dict[Place, Decision] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the index: some 100 ms for ten thousand senders, so not on the event loop."""
        object.__setattr__(self, "_addresses", _by_address(self.senders))
        object.__setattr__(self, "_arrangements", _arranged(self.senders))
        object.__setattr__(self, "_lineups", {})
        object.__setattr__(self, "_decisions", {})

    def holds(self, address: str) -> bool:
        """Tell whether the address is one of this Service's senders, live or not."""
        return address in self._addresses

    def find(self, address: str, country: str | None) -> Sender | None:
        """Return the sender of this address, the country's own if two share their digits (facts 9.1).

        When neither is the country's own, the first by sid, so that replicas agree.
        """
        found = self._addresses.get(address)
        if found is None or isinstance(found, Sender):
            return found
        return next((sender for sender in found if sender.country == country), found[0])

    def lineup(self, country: str | None, needs: Capability) -> tuple[Group, ...]:
        """Return the senders for a person of this country, the kind to try first in front."""
        key = (country, needs.value)
        found = self._lineups.get(key)
        if found is None:
            if len(self._lineups) >= _MOST_LINEUPS:
                self._lineups.clear()
            found = self._lineups[key] = self._arrangement(needs).groups_for(country)
        return found

    def remembered(self, place: Place) -> Decision | None:
        """Return what was decided for this place already."""
        return self._decisions.get(place)

    def remember(self, place: Place, decision: Decision) -> None:
        """Keep a decision for everybody in this place, as long as the pool lasts."""
        if len(self._decisions) >= _MOST_DECISIONS:
            self._decisions.clear()
        self._decisions[place] = decision

    def _arrangement(self, needs: Capability) -> CandidateIndex:
        found = self._arrangements.get(needs)
        if found is None:
            found = self._arrangements[needs] = build_index(self.senders, needs)
        return found


def find_pool(pools: Mapping[str, Pool], service_sid: str | None, texted: str) -> Pool | None:
    """Return the pool of the message's Service, else of the Service that holds the texted number."""
    pool = pools.get(service_sid) if service_sid is not None else None
    if pool is None:
        pool = next((each for each in pools.values() if each.holds(texted)), None)
    return pool


def _arranged(senders: Iterable[Sender]) -> dict[Capability, CandidateIndex]:
    """Arrange in advance for what replies usually need, once where every sender can do both."""
    texts = build_index(senders, Capability.SMS)
    both = Capability.SMS | Capability.MMS
    if all(both in sender.capabilities for sender in senders):
        return {needs: replace(texts, needs=needs) for needs in (Capability.SMS, Capability.MMS, both)}
    return {Capability.SMS: texts, Capability.MMS: build_index(senders, Capability.MMS)}


def _by_address(senders: Iterable[Sender]) -> Mapping[str, Sender | tuple[Sender, ...]]:
    addresses: dict[str, Sender | tuple[Sender, ...]] = {}
    for sender in senders:
        held = addresses.get(sender.address)
        others = () if held is None else held if isinstance(held, tuple) else (held,)
        together = tuple(sorted((*others, sender), key=lambda each: each.sid))
        addresses[sender.address] = together if others else sender
    return addresses


PoolFinder = Callable[[str | None, str], Pool | None]
"""Given the message's Service (or None) and the number that was texted, the pool that answers."""
