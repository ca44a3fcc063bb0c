"""Which number answers: a pure function of the pool, the request and what has been learned."""

from __future__ import annotations

from dataclasses import replace

from app.senders.country import CANADA
from app.senders.decision import Consideration, Decision, Outcome
from app.senders.lineup import ORDER, ORDER_IN_CANADA, Group, Tier
from app.senders.pool import Pool
from app.senders.request import NOTHING_LEARNED, Facts, ReplyFrom, Request
from app.senders.ring import Ring
from app.senders.sender import Sender, SenderKind
from app.senders.verdict import learned_objection, objection, passed_over, two_way_objection

__all__ = [
    "NOTHING_LEARNED",
    "Consideration",
    "Decision",
    "Facts",
    "Outcome",
    "ReplyFrom",
    "Request",
    "explain",
    "select",
]

_OPTED_OUT = "this person has opted out"
_NO_POOL = Pool("", 0, ())
_MOST_REASONS = 24
"""Lines of the short trail; ``explain`` has them all."""


def select(pool: Pool | None, request: Request, facts: Facts = NOTHING_LEARNED) -> Decision:
    """Choose the sender of one reply, with the candidates that were examined on the way.

    In this order: the sender that the handler wished for, the texted number if that is the
    policy, then kind by kind (design 6). When none is left the answer leaves from the number
    that was texted, unless that one is known to be unable. ``pool`` is None when nothing is
    known about the Service.
    """
    if facts is NOTHING_LEARNED and pool is not None:
        return _remembered(pool, request)
    return _select(pool, request, facts)


def _remembered(pool: Pool, request: Request) -> Decision:
    """Choose for somebody of whom nothing is known, once for all who are in the same place."""
    place = (
        request.country,
        request.area_code,
        request.needs.value,
        request.texted,
        request.policy,
        request.wish,
        request.one_way,
    )
    decision = pool.remembered(place)
    if decision is None:
        decision = _select(pool, request, NOTHING_LEARNED)
        if not decision.personal:
            pool.remember(place, decision)
    return decision


def _select(pool: Pool | None, request: Request, facts: Facts) -> Decision:
    if facts.opted_out:
        line = Consideration(request.texted, None, Outcome.PASSED_OVER, _OPTED_OUT)
        return Decision.of(None, None, (line,))
    if ":" in request.texted:  # whatsapp:, messenger:, rcs: a channel is answered on itself (facts 5.1)
        line = Consideration(request.texted, None, Outcome.TAKEN, "the channel that the message came on")
        return Decision.of(None, request.texted, (line,))
    if pool is None:
        return _Walk(_NO_POOL, request, facts).without_pool()
    return _Walk(pool, _at_home(pool, request), facts).decide()


def explain(pool: Pool | None, request: Request, facts: Facts = NOTHING_LEARNED) -> Decision:
    """Choose as ``select`` does, with one line for every sender of the Service."""
    decision = select(pool, request, facts)
    if pool is None:
        return decision
    request = _at_home(pool, request)
    told = {line.sid for line in decision.trail if line.sid}
    rest = sorted(
        (sender for sender in pool.senders if sender.sid not in told),
        key=lambda sender: _distance(sender, request),
    )
    lines = (_afterwards(sender, decision, request, facts) for sender in rest)
    return Decision.of(
        decision.sender, decision.address, (*decision.trail, *lines), personal=decision.personal
    )


class _Walk:
    """One pass over the candidates, which stops at the first that can carry the reply."""

    __slots__ = ("_facts", "_lines", "_pool", "_request", "_seen", "_texted")

    def __init__(self, pool: Pool, request: Request, facts: Facts) -> None:
        self._pool = pool
        self._request = request
        self._facts = facts
        self._texted = pool.find(request.texted, request.country)
        self._lines: list[Consideration] = []
        self._seen: set[str] = set()

    def decide(self) -> Decision:
        request = self._request
        return (
            (self._wish(request.wish) if request.wish else None)
            or (self._same_number() if request.policy is ReplyFrom.SAME_NUMBER else None)
            or self._by_kind()
            or self._last_resort("no sender of the Service is left")
        )

    def without_pool(self) -> Decision:
        if self._request.wish:
            self._note(self._request.wish, "the handler asked for it, but nothing is known about the Service")
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
        return self._sticky(group.kind) or next(filter(None, map(self._within, group.tiers)), None)

    def _sticky(self, kind: SenderKind) -> Decision | None:
        if self._facts.last_sender is None:
            return None
        sender = self._pool.find(self._facts.last_sender, self._request.country)
        if sender is None or sender.kind is not kind:
            return None
        return self._try(sender, f"{kind.value} that this person last heard from")

    def _within(self, tier: Tier) -> Decision | None:
        near = tier.near.get(self._request.area_code) if self._request.area_code else None
        if near is not None:
            decision = self._turn(near, f"{tier.why}, same area code {self._request.area_code}")
            if decision is not None:
                return decision
        return self._turn(tier.ring, tier.why)

    def _turn(self, ring: Ring, why: str) -> Decision | None:
        """Among equals: the number that was texted, else the one whose turn it is for this person."""
        texted, facts = self._texted, self._facts
        if texted is not None and len(ring) > 1 and ring.holds(texted):
            decision = self._try(texted, f"{why}, the number that was texted")
            if decision is not None:
                return decision
        if not facts.unreachable and not facts.over_rate:
            return self._take(ring.first(self._request.person), why, personal=len(ring) > 1)
        for sender in ring.turns(self._request.person):
            against = learned_objection(sender, facts)
            if against is None:
                return self._take(sender, why)
            self._refuse((passed_over(sender, against),))
        return None

    def _try(self, sender: Sender, why: str) -> Decision | None:
        against = objection(sender, self._request, self._facts)
        if against is None:
            return self._take(sender, why)
        self._refuse((passed_over(sender, against),))
        return None

    def _last_resort(self, why: str) -> Decision:
        if self._texted is None:
            decision = self._take_texted(f"the number that was texted, since {why}")
            if decision is not None:
                return decision
        return Decision.of(None, None, tuple(self._lines))

    def _take_texted(self, why: str) -> Decision | None:
        """Take a number of ours of which the pool knows nothing: it has just received a text."""
        address = self._request.texted
        if address in self._facts.unreachable or address in self._facts.over_rate:
            self._note(address, "believed not to reach this person, or over its rate")
            return None
        self._lines.append(Consideration(address, None, Outcome.TAKEN, why))
        return Decision.of(None, address, tuple(self._lines))

    def _take(self, sender: Sender, why: str, *, personal: bool = False) -> Decision:
        self._lines.append(Consideration(sender.address, sender.kind, Outcome.TAKEN, why, sender.sid))
        return Decision.of(sender, sender.address, tuple(self._lines), personal=personal)

    def _note(self, address: str, why: str) -> None:
        self._lines.append(Consideration(address, None, Outcome.PASSED_OVER, why))

    def _refuse(self, lines: tuple[Consideration, ...]) -> None:
        for line in lines:
            if line.sid is not None and line.sid not in self._seen and len(self._lines) < _MOST_REASONS:
                self._seen.add(line.sid)
                self._lines.append(line)


def _two_way(group: Group) -> tuple[Consideration, ...]:
    senders = (sender for tier in group.tiers for sender in tier.ring)
    return tuple(passed_over(sender, two_way_objection(sender) or "") for sender in senders)


def _at_home(pool: Pool, request: Request) -> Request:
    """Whoever texts a short code is in its country, when nothing else names the country."""
    if request.country is not None:
        return request
    texted = pool.find(request.texted, None)
    if texted is None or texted.kind is not SenderKind.SHORT_CODE:
        return request
    return replace(request, country=texted.country)


def _afterwards(sender: Sender, decision: Decision, request: Request, facts: Facts) -> Consideration:
    against = _OPTED_OUT if facts.opted_out else objection(sender, request, facts)
    if against is not None:
        return passed_over(sender, against)
    why = f"{decision.address} was taken before it"
    return Consideration(sender.address, sender.kind, Outcome.NOT_NEEDED, why, sender.sid)


def _distance(sender: Sender, request: Request) -> tuple[int, bool, str]:
    order = ORDER_IN_CANADA if request.country == CANADA else ORDER
    return order.index(sender.kind), sender.country != request.country, sender.address
