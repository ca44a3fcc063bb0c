"""The candidates of a Sender Pool, indexed once for each snapshot by kind, country and area code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from sms_router.senders.country import CANADA, UNITED_STATES, area_code_of
from sms_router.senders.eligibility import skipped, static_reason
from sms_router.senders.hash_ring import HashRing
from sms_router.senders.models import Candidate, Capability, Sender, SenderKind
from sms_router.twilio.area_codes import overlays_of

ORDER = (SenderKind.SHORT_CODE, SenderKind.ALPHANUMERIC, SenderKind.LONG_CODE, SenderKind.TOLL_FREE)
"""The order in which a Messaging Service of Twilio selects senders."""

ORDER_IN_CANADA = (
    SenderKind.SHORT_CODE,
    SenderKind.ALPHANUMERIC,
    SenderKind.TOLL_FREE,
    SenderKind.LONG_CODE,
)
"""Canadian carriers filter application (A2P) traffic from long codes."""

MAX_SKIPPED = 8
"""Skipped candidates of one kind that a trail lists."""


@dataclass(frozen=True, slots=True)
class CandidateTier:
    """Senders of one kind that serve a country equally well."""

    ring: HashRing
    by_area_code: Mapping[str, HashRing]
    """The same senders by the contacts' area codes (Area Code Geomatch); only for long codes."""
    reason: str
    """Why they are chosen, for the trail."""


@dataclass(frozen=True, slots=True)
class CandidateGroup:
    """One kind of sender, its best tier first."""

    kind: SenderKind
    tiers: tuple[CandidateTier, ...]
    skipped: tuple[Candidate, ...]
    """Senders that serve no contact of this country: the first `MAX_SKIPPED`."""


@dataclass(frozen=True, slots=True)
class CandidateIndex:
    """The senders with the capabilities that a reply needs, by kind and country."""

    needs: Capability
    by_country: Mapping[tuple[SenderKind, str | None], HashRing]
    by_area_code: Mapping[tuple[SenderKind, str | None], Mapping[str, HashRing]]
    by_kind: Mapping[SenderKind, HashRing]
    skipped: Mapping[SenderKind, tuple[Candidate, ...]]

    def groups_for(self, country: str | None) -> tuple[CandidateGroup, ...]:
        """Return the kinds of sender in the order in which a country's contacts get them."""
        order = ORDER_IN_CANADA if country == CANADA else ORDER
        return tuple(self._group(kind, country) for kind in order)

    def _group(self, kind: SenderKind, country: str | None) -> CandidateGroup:
        if kind in {SenderKind.SHORT_CODE, SenderKind.ALPHANUMERIC}:
            return self._group_within_borders(kind, country)
        return CandidateGroup(kind, tuple(self._geomatch_tiers(kind, country)), self.skipped.get(kind, ()))

    def _group_within_borders(self, kind: SenderKind, country: str | None) -> CandidateGroup:
        """Short codes and alphanumeric senders: a carrier of another country does not accept them."""
        if kind is SenderKind.SHORT_CODE:
            chosen_because = f"{kind.value} of {country}, the contact's country"
        else:
            chosen_because = f"{kind.value}, for a one-way reply"
        tiers, not_here = [], list(self.skipped.get(kind, ()))
        for (kind_of_ring, _), ring in self.by_country.items():
            if kind_of_ring is not kind:
                continue
            reason = static_reason(next(iter(ring)), country, self.needs)
            if reason is None:
                tiers.append(CandidateTier(ring, {}, chosen_because))
            else:
                not_here += (skipped(sender, reason) for sender in islice(ring, MAX_SKIPPED))
        return CandidateGroup(kind, tuple(tiers), tuple(not_here[:MAX_SKIPPED]))

    def _geomatch_tiers(self, kind: SenderKind, country: str | None) -> Iterator[CandidateTier]:
        """Country Code Geomatch: the contact's country, then the United States, then any country."""
        before_long_codes = country == CANADA and kind is SenderKind.TOLL_FREE
        note = "; in Canada before long codes" if before_long_codes else ""
        missing = f"none of {country} is available" if country else "the contact's country is unknown"
        own = self.by_country.get((kind, country)) if country else None
        american = self.by_country.get((kind, UNITED_STATES))
        if own:
            by_area_code = self.by_area_code.get((kind, country), {})
            yield CandidateTier(own, by_area_code, f"{kind.value} of {country}, the contact's country{note}")
        if american and american is not own:
            yield CandidateTier(american, {}, f"{kind.value} of {UNITED_STATES}, {missing}{note}")
        of_any_country = self.by_kind.get(kind)
        if of_any_country and of_any_country not in (own, american):
            yield CandidateTier(of_any_country, {}, f"{kind.value} of another country, {missing}{note}")


def build_index(senders: Iterable[Sender], needs: Capability) -> CandidateIndex:
    """Index senders by kind, country and area code; those without the capabilities are skipped."""
    by_country: dict[tuple[SenderKind, str | None], list[Sender]] = defaultdict(list)
    unusable: dict[SenderKind, tuple[Candidate, ...]] = defaultdict(tuple)
    for sender in senders:
        reason = static_reason(sender, sender.country, needs)
        if reason is None:
            by_country[sender.kind, sender.country].append(sender)
        elif len(unusable[sender.kind]) < MAX_SKIPPED:
            unusable[sender.kind] += (skipped(sender, reason),)
    rings = {key: HashRing(members) for key, members in by_country.items()}
    return CandidateIndex(
        needs=needs,
        by_country=rings,
        by_area_code={
            (kind, country): _rings_by_area_code(ring)
            for (kind, country), ring in rings.items()
            if kind is SenderKind.LONG_CODE
        },
        by_kind=_rings_by_kind(rings),
        skipped=dict(unusable),
    )


def _rings_by_area_code(ring: HashRing) -> Mapping[str, HashRing]:
    """Area Code Geomatch: for each area code the senders of it and of its overlays."""
    senders: dict[str, list[Sender]] = defaultdict(list)
    for sender in ring:
        area_code = area_code_of(sender.address)
        if area_code is not None:
            senders[area_code].append(sender)
    rings: dict[frozenset[str], HashRing] = {}
    by_area_code = {}
    for served in {overlay for area_code in senders for overlay in overlays_of(area_code)}:
        matching = overlays_of(served).intersection(senders)
        if matching not in rings:
            rings[matching] = HashRing(sender for area_code in matching for sender in senders[area_code])
        by_area_code[served] = rings[matching]
    return by_area_code


def _rings_by_kind(rings: Mapping[tuple[SenderKind, str | None], HashRing]) -> Mapping[SenderKind, HashRing]:
    """One ring for each kind; a kind with senders of a single country shares that country's ring."""
    by_kind: dict[SenderKind, list[HashRing]] = defaultdict(list)
    for (kind, _), ring in rings.items():
        by_kind[kind].append(ring)
    return {
        kind: members[0] if len(members) == 1 else HashRing(sender for ring in members for sender in ring)
        for kind, members in by_kind.items()
    }
