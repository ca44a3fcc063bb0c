"""The Sender Pool of one Messaging Service, indexed so that 10,000 senders cost what 10 do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from sms_router.senders.candidates import CandidateGroup, CandidateIndex, build_index
from sms_router.senders.models import Capability, Sender, SenderKind

MAX_CACHED_GROUPS = 512
"""Pairs of country and capabilities; real countries are fewer."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The senders of a Service in one version."""

    service_sid: str
    version: int
    senders: tuple[Sender, ...]
    _by_address: Mapping[str, Sender | tuple[Sender, ...]] = field(init=False, repr=False, compare=False)
    _indexes: dict[Capability, CandidateIndex] = field(init=False, repr=False, compare=False)
    _groups: dict[tuple[str | None, int], tuple[CandidateGroup, ...]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        # Some 100 ms for 10,000 senders: not on the event loop.
        object.__setattr__(self, "_by_address", _index_addresses(self.senders))
        object.__setattr__(self, "_indexes", _build_common_indexes(self.senders))
        object.__setattr__(self, "_groups", {})

    def holds(self, address: str) -> bool:
        """Return whether an address is one of the senders, live or not."""
        return address in self._by_address

    def find(self, address: str, country: str | None) -> Sender | None:
        """Return the sender of an address.

        Of two short codes with the same digits it is the one of ``country``, else the first by sid, so
        that replicas agree.
        """
        senders = self._by_address.get(address)
        if senders is None or isinstance(senders, Sender):
            return senders
        return next((sender for sender in senders if sender.country == country), senders[0])

    def groups_for(self, country: str | None, needs: Capability) -> tuple[CandidateGroup, ...]:
        """Return the candidates for a contact of a country, in the order in which they are tried."""
        key = (country, needs.value)
        groups = self._groups.get(key)
        if groups is None:
            if len(self._groups) >= MAX_CACHED_GROUPS:
                self._groups.clear()
            index = self._indexes.get(needs)
            if index is None:
                index = self._indexes[needs] = build_index(self.senders, needs)
            groups = self._groups[key] = index.groups_for(country)
        return groups


PoolFinder = Callable[[str | None, str, str], Pool | None]
"""Returns the pool for a message's Service (or None), the number that the contact texted, and the account."""


def find_pool(pools: Mapping[str, Pool], service_sid: str | None, texted: str) -> Pool | None:
    """Return the pool of the message's Service, else of the Service that holds the texted number."""
    pool = pools.get(service_sid) if service_sid is not None else None
    if pool is None:
        pool = next((pool for pool in pools.values() if pool.holds(texted)), None)
    return pool


def likely_recipient(pools: Iterable[Pool]) -> str:
    """Return the number that is texted most likely: a short code, else any sender; empty without one."""
    senders = [sender for pool in pools for sender in pool.senders]
    first = min(senders, key=lambda sender: sender.kind is not SenderKind.SHORT_CODE, default=None)
    return first.address if first is not None else ""


def own_numbers(pools: Mapping[str, Pool]) -> frozenset[str]:
    return frozenset(sender.address for pool in pools.values() for sender in pool.senders)


def _build_common_indexes(senders: Iterable[Sender]) -> dict[Capability, CandidateIndex]:
    """Index for SMS and for MMS; one index serves both where every sender can send both."""
    sms = build_index(senders, Capability.SMS)
    both = Capability.SMS | Capability.MMS
    if all(both in sender.capabilities for sender in senders):
        return {needs: replace(sms, needs=needs) for needs in (Capability.SMS, Capability.MMS, both)}
    return {Capability.SMS: sms, Capability.MMS: build_index(senders, Capability.MMS)}


def _index_addresses(senders: Iterable[Sender]) -> Mapping[str, Sender | tuple[Sender, ...]]:
    addresses: dict[str, Sender | tuple[Sender, ...]] = {}
    for sender in senders:
        known = addresses.get(sender.address)
        others = () if known is None else known if isinstance(known, tuple) else (known,)
        same_digits = tuple(sorted((*others, sender), key=lambda sender: sender.sid))
        addresses[sender.address] = same_digits if others else sender
    return addresses
