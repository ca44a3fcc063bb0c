"""One pass over the senders of a Service, in the order of design 6, to the first that can answer."""

from __future__ import annotations

from itertools import islice

from sms_router.senders.candidates import Group, Tier
from sms_router.senders.conditions import NO_CONDITIONS, SenderConditions
from sms_router.senders.decision import Candidate, CandidateResult, Decision
from sms_router.senders.eligibility import dynamic_reason, ineligible_reason, rejected, two_way_objection
from sms_router.senders.hash_ring import HashRing
from sms_router.senders.models import Sender, SenderKind
from sms_router.senders.pool import Pool
from sms_router.senders.request import RecipientFacts, ReplyFrom, SelectionRequest

_MOST_REASONS = 24
"""Lines of the short trail; ``explain`` has them all."""

_MOST_EXAMINED = 128
"""Equals that are looked at one by one. With ten thousand numbers of which all but a few are at their
limits, the rest is not searched for: the choice must not cost more when everything is busy."""

_NEAREST = 4
"""Equals among which the least recently used is taken. Taking it among all would move everybody with
every message; among the few whose turn it is for a person, work is spread and the choice costs the same
for ten numbers and ten thousand."""


class Selector:
    """One pass over the candidates, which stops at the first that can carry the reply."""

    __slots__ = ("_conditions", "_facts", "_lines", "_pool", "_request", "_seen", "_texted")

    def __init__(
        self, pool: Pool, request: SelectionRequest, facts: RecipientFacts, conditions: SenderConditions
    ) -> None:
        """Begin; one walk makes one decision."""
        self._pool = pool
        self._request = request
        self._facts = facts
        self._conditions = conditions
        self._texted = pool.find(request.texted, request.country)
        self._lines: list[Candidate] = []
        self._seen: set[str] = set()

    def select(self) -> Decision:
        """Choose among the senders of the pool."""
        request = self._request
        return (
            (self._wish(request.preferred_sender) if request.preferred_sender else None)
            or (self._same_number() if request.policy is ReplyFrom.SAME_NUMBER else None)
            or self._by_kind()
            or self._last_resort("no sender of the Service is left")
        )

    def without_pool(self) -> Decision:
        """Answer from the number that was texted: it is all that is known."""
        if self._request.preferred_sender:
            self._note(
                self._request.preferred_sender,
                "the handler asked for it, but nothing is known about the Service",
            )
        return self._last_resort("nothing is known about the Service")

    def _wish(self, address: str) -> Decision | None:
        sender = self._pool.find(address, self._request.country)
        if sender is None:
            self._note(address, "the handler asked for it, but it is not a sender of the Service")
            return None
        return self._try(sender, "the handler asked for it")

    def _same_number(self) -> Decision | None:
        why = f"the number that was texted, by the policy {ReplyFrom.SAME_NUMBER.value}"
        if self._texted is not None:
            return self._try(self._texted, why)
        return self._take_texted(f"{why}; the Service does not hold it")

    def _by_kind(self) -> Decision | None:
        for group in self._pool.lineup(self._request.country, self._request.needs):
            decision = self._among(group)
            if decision is not None:
                return decision
        return None

    def _among(self, group: Group) -> Decision | None:
        self._refuse(group.refused)
        if not group.tiers:
            return None
        if group.kind is SenderKind.ALPHANUMERIC and not self._request.one_way:
            self._refuse(_two_way(group))
            return None
        return self._sticky(group.kind) or next(filter(None, map(self._from_tier, group.tiers)), None)

    def _sticky(self, kind: SenderKind) -> Decision | None:
        if self._facts.last_sender is None:
            return None
        sender = self._pool.find(self._facts.last_sender, self._request.country)
        if sender is None or sender.kind is not kind:
            return None
        return self._try(sender, f"{kind.value} that this person last heard from", personal=True)

    def _from_tier(self, tier: Tier) -> Decision | None:
        near = tier.near.get(self._request.area_code) if self._request.area_code else None
        if near is not None:
            decision = self._pick_from_ring(near, f"{tier.why} and area ({self._request.area_code})")
            if decision is not None:
                return decision
        return self._pick_from_ring(tier.ring, tier.why)

    def _pick_from_ring(self, ring: HashRing, why: str) -> Decision | None:
        """Among equals: the number that was texted, else the one whose turn it is for this person."""
        texted, facts = self._texted, self._facts
        if texted is not None and len(ring) > 1 and ring.holds(texted):
            decision = self._try(texted, f"{why}, the number that was texted")
            if decision is not None:
                return decision
        if not facts.unreachable and self._conditions is NO_CONDITIONS:
            return self._take(ring.first(self._request.person), why, personal=len(ring) > 1)
        return self._among_equals(ring, why)

    def _among_equals(self, ring: HashRing, why: str) -> Decision | None:
        """Take the least recently used of the few whose turn it is next for this person."""
        able = []
        for sender in islice(ring.iter_from(self._request.person), _MOST_EXAMINED):
            against = dynamic_reason(sender, self._facts, self._conditions)
            if against is not None:
                self._refuse((rejected(sender, against),))
                continue
            able.append(sender)
            if len(able) == _NEAREST or not self._conditions.used:
                break
        if not able:
            return None
        used = self._conditions.used
        least = min(able, key=lambda sender: used.get(sender.sid, 0.0))
        note = "" if least is able[0] else ", the least recently used"
        return self._take(least, f"{why}{note}", personal=len(ring) > 1)

    def _try(self, sender: Sender, why: str, *, personal: bool = False) -> Decision | None:
        against = ineligible_reason(sender, self._request, self._facts, self._conditions)
        if against is None:
            return self._take(sender, why, personal=personal)
        self._refuse((rejected(sender, against),))
        return None

    def _last_resort(self, why: str) -> Decision:
        if self._texted is None:
            decision = self._take_texted(f"the number that was texted, since {why}")
            if decision is not None:
                return decision
        return Decision.of(None, None, tuple(self._lines))

    def _take_texted(self, why: str) -> Decision | None:
        """Take a number of ours that the pool does not know: it has just received a text."""
        address = self._request.texted
        unreachable = "believed not to reach this person" if address in self._facts.unreachable else None
        against = unreachable or self._conditions.objection(address)
        if against is not None:
            self._note(address, against)
            return None
        self._lines.append(Candidate(address, None, CandidateResult.TAKEN, why))
        return Decision.of(None, address, tuple(self._lines))

    def _take(self, sender: Sender, why: str, *, personal: bool = False) -> Decision:
        self._lines.append(Candidate(sender.address, sender.kind, CandidateResult.TAKEN, why, sender.sid))
        return Decision.of(sender, sender.address, tuple(self._lines), personal=personal)

    def _note(self, address: str, why: str) -> None:
        self._lines.append(Candidate(address, None, CandidateResult.PASSED_OVER, why))

    def _refuse(self, lines: tuple[Candidate, ...]) -> None:
        for line in lines:
            if line.sid is not None and line.sid not in self._seen and len(self._lines) < _MOST_REASONS:
                self._seen.add(line.sid)
                self._lines.append(line)


def _two_way(group: Group) -> tuple[Candidate, ...]:
    senders = (sender for tier in group.tiers for sender in tier.ring)
    return tuple(rejected(sender, two_way_objection(sender) or "") for sender in senders)
