"""The senders of a Service in the order in which a country tries them, arranged once for a snapshot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sms_router.senders.country import CANADA, UNITED_STATES, area_code_of
from sms_router.senders.decision import Candidate
from sms_router.senders.eligibility import rejected, standing_objection
from sms_router.senders.hash_ring import HashRing
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.twilio.area_codes import overlays_of

ORDER = (SenderKind.SHORT_CODE, SenderKind.ALPHANUMERIC, SenderKind.LONG_CODE, SenderKind.TOLL_FREE)
"""Twilio's own order (facts 5.1)."""

ORDER_IN_CANADA = (
    SenderKind.SHORT_CODE,
    SenderKind.ALPHANUMERIC,
    SenderKind.TOLL_FREE,
    SenderKind.LONG_CODE,
)
"""Long codes may not carry application traffic there (facts 5.4)."""

_MOST_REFUSALS = 8
_BY_AREA = frozenset({SenderKind.LONG_CODE})


@dataclass(frozen=True, slots=True)
class Tier:
    """Senders of one kind that stand equally near to a country."""

    ring: HashRing
    near: Mapping[str, HashRing]
    """The same senders by the area codes that they are near to, where that matters."""
    why: str


@dataclass(frozen=True, slots=True)
class Group:
    """One kind of sender, its nearest tier first."""

    kind: SenderKind
    tiers: tuple[Tier, ...]
    refused: tuple[Candidate, ...]
    """Those that serve nobody of this country, with the reason; the first few only."""


@dataclass(frozen=True, slots=True)
class CandidateIndex:
    """The senders that can carry one kind of reply, by kind and country."""

    needs: Capability
    by_country: Mapping[tuple[SenderKind, str | None], HashRing]
    by_area: Mapping[tuple[SenderKind, str | None], Mapping[str, HashRing]]
    everywhere: Mapping[SenderKind, HashRing]
    refused: Mapping[SenderKind, tuple[Candidate, ...]]

    def groups_for(self, country: str | None) -> tuple[Group, ...]:
        """Return every kind in the order of the country."""
        order = ORDER_IN_CANADA if country == CANADA else ORDER
        return tuple(self._group(kind, country) for kind in order)

    def _group(self, kind: SenderKind, country: str | None) -> Group:
        if kind in {SenderKind.SHORT_CODE, SenderKind.ALPHANUMERIC}:
            return self._bordered_group(kind, country)
        tiers = list(self._tiers(kind, country))
        return Group(kind, tuple(tiers), self.refused.get(kind, ()))

    def _bordered_group(self, kind: SenderKind, country: str | None) -> Group:
        """Short codes and names: those that this country's carriers take, and no others."""
        rings = [ring for (of_kind, _), ring in self.by_country.items() if of_kind is kind]
        tiers, refused = [], list(self.refused.get(kind, ()))
        for ring in rings:
            objection = standing_objection(next(iter(ring)), country, self.needs)
            if objection is None:
                tiers.append(Tier(ring, {}, _why_bordered(kind, country)))
            else:
                refused += (rejected(sender, objection) for sender in _few(ring))
        return Group(kind, tuple(tiers), tuple(refused[:_MOST_REFUSALS]))

    def _tiers(self, kind: SenderKind, country: str | None) -> Iterator[Tier]:
        """Country Code Geomatch (facts 5.2): the person's country, the United States, any other."""
        note = "; in Canada before long codes" if _leads_in_canada(kind, country) else ""
        gone = f"none of {country} is left" if country else "this person's country is not known"
        own = self.by_country.get((kind, country)) if country else None
        american = self.by_country.get((kind, UNITED_STATES))
        if own:
            near = self.by_area.get((kind, country), {})
            yield Tier(own, near, f"{kind.value} of {country}, the person's country{note}")
        if american and american is not own:
            yield Tier(american, {}, f"{kind.value} of {UNITED_STATES}, {gone}{note}")
        anywhere = self.everywhere.get(kind)
        if anywhere and anywhere not in (own, american):
            yield Tier(anywhere, {}, f"{kind.value} of another country, {gone}{note}")


def build_index(senders: Iterable[Sender], needs: Capability) -> CandidateIndex:
    """Sort the senders by what they can do and where they are."""
    by_country: dict[tuple[SenderKind, str | None], list[Sender]] = defaultdict(list)
    refused: dict[SenderKind, tuple[Candidate, ...]] = defaultdict(tuple)
    for sender in senders:
        objection = standing_objection(sender, sender.country, needs)
        if objection is None:
            by_country[sender.kind, sender.country].append(sender)
        elif len(refused[sender.kind]) < _MOST_REFUSALS:
            refused[sender.kind] += (rejected(sender, objection),)
    rings = {key: HashRing(found) for key, found in by_country.items()}
    return CandidateIndex(
        needs=needs,
        by_country=rings,
        by_area={key: _by_area(ring) for key, ring in rings.items() if key[0] in _BY_AREA},
        everywhere=_everywhere(rings),
        refused=dict(refused),
    )


def _by_area(ring: HashRing) -> Mapping[str, HashRing]:
    """Area Code Geomatch: the senders of each area code and of those that are overlaid on it."""
    own: dict[str, list[Sender]] = defaultdict(list)
    for sender in ring:
        area_code = area_code_of(sender.address)
        if area_code is not None:
            own[area_code].append(sender)
    rings: dict[frozenset[str], HashRing] = {}
    areas = {}
    for served in {each for area_code in own for each in overlays_of(area_code)}:
        near = overlays_of(served).intersection(own)
        if near not in rings:
            rings[near] = HashRing(sender for area_code in near for sender in own[area_code])
        areas[served] = rings[near]
    return areas


def _everywhere(rings: Mapping[tuple[SenderKind, str | None], HashRing]) -> Mapping[SenderKind, HashRing]:
    """All of one kind; a kind that has a single country shares that country's ring."""
    by_kind: dict[SenderKind, list[HashRing]] = defaultdict(list)
    for (kind, _), ring in rings.items():
        by_kind[kind].append(ring)
    return {
        kind: found[0] if len(found) == 1 else HashRing(sender for ring in found for sender in ring)
        for kind, found in by_kind.items()
    }


def _why_bordered(kind: SenderKind, country: str | None) -> str:
    if kind is SenderKind.SHORT_CODE:
        return f"{kind.value} of {country}, the person's country"
    return f"{kind.value}, and no answer is expected"


def _leads_in_canada(kind: SenderKind, country: str | None) -> bool:
    return country == CANADA and kind is SenderKind.TOLL_FREE


def _few(ring: HashRing) -> Iterator[Sender]:
    return (sender for sender, _ in zip(ring, range(_MOST_REFUSALS), strict=False))
