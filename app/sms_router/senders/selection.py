"""Selects the sender of a reply: a pure function of the pool, the request, the facts and the conditions."""

from __future__ import annotations

from itertools import islice

from sms_router.senders.candidates import MAX_SKIPPED, ORDER, ORDER_IN_CANADA, CandidateGroup, CandidateTier
from sms_router.senders.country import CANADA
from sms_router.senders.eligibility import (
    ONE_WAY_ONLY,
    UNREACHABLE,
    dynamic_reason,
    ineligible_reason,
    skipped,
)
from sms_router.senders.hash_ring import HashRing
from sms_router.senders.models import (
    NO_CONDITIONS,
    NO_FACTS,
    Candidate,
    CandidateResult,
    Decision,
    RecipientFacts,
    ReplyFrom,
    SelectionRequest,
    Sender,
    SenderConditions,
    SenderKind,
)
from sms_router.senders.pool import Pool

MAX_TRAIL = 24
"""Skipped candidates in the trail of `select`; `explain` lists all senders."""

MAX_EXAMINED = 128
"""Equal candidates that are examined. The choice must not cost more when most of 10,000 senders are at
their limits, so the rest is not searched."""

MAX_COMPARED = 4
"""Equal candidates of which the least recently used is chosen. With all of them compared, every message
would move every contact to another sender."""

_EMPTY_POOL = Pool("", 0, ())
_CONTACTS_COUNTRY = "the contact's country"
_ASSUMED_COUNTRY = "the country of the texted short code, because the contact's is unknown"
_OPTED_OUT = "the contact has opted out"
_NOT_LIVE_BUT_TEXTED = "not live yet, but the contact's message to it came through Twilio"
_ALL_OVER_RATE = "over its rate, like all other senders that could be used: Twilio queues the message"


def select(
    pool: Pool | None,
    request: SelectionRequest,
    facts: RecipientFacts = NO_FACTS,
    conditions: SenderConditions = NO_CONDITIONS,
) -> Decision:
    """Choose the sender of one reply, with the candidates that were examined.

    The order is: the sender that the reply names; the texted number, with the policy
    ``same-number``; kind by kind, and within a kind Sticky Sender, country, area code, the texted number,
    the least recently used. With none left it is the texted number, unless that one is known to be unable.
    When every sender that could be used is over its rate, the first of them is chosen.

    Args:
        pool: the Service's Sender Pool; None when it is unknown.
        request: the reply.
        facts: what is known of the recipient.
        conditions: the state of the senders.

    """
    if conditions.pending:
        texted = _texted_before_live(pool, request, conditions)
        if texted is not None:
            decision = select(pool, request, facts, conditions.as_if_live(texted.sid))
            return _with_note(decision, _NOT_LIVE_BUT_TEXTED) if decision.sender is texted else decision
    decision = _select(pool, request, facts, conditions)
    if decision.address is None and conditions.over_rate:
        queued = _select(pool, request, facts, conditions.without_rates())
        return _with_note(queued, _ALL_OVER_RATE) if queued.address is not None else decision
    return decision


def is_still_valid(decision: Decision, conditions: SenderConditions) -> bool:
    """Return whether a decision that was made without conditions is also the one under these conditions.

    Conditions of senders that were not chosen change nothing, because no candidate before the chosen one
    could be used. A choice among equal senders depends on when each was last used.
    """
    if conditions is NO_CONDITIONS:
        return True
    if decision.per_recipient:
        return False
    chosen = decision.sender.sid if decision.sender is not None else decision.address
    return chosen is None or conditions.objection(chosen) is None


def explain(
    pool: Pool | None,
    request: SelectionRequest,
    facts: RecipientFacts = NO_FACTS,
    conditions: SenderConditions = NO_CONDITIONS,
) -> Decision:
    """Choose as `select` does, with every sender of the Service in the trail."""
    decision = select(pool, request, facts, conditions)
    if pool is None:
        return decision
    texted = _texted_before_live(pool, request, conditions)
    if texted is not None:
        conditions = conditions.as_if_live(texted.sid)
    request = _with_home_country(pool, request)
    listed = {candidate.sid for candidate in decision.trail if candidate.sid}
    rest = sorted(
        (sender for sender in pool.senders if sender.sid not in listed),
        key=lambda sender: _order(sender, request),
    )
    trail = list(decision.trail)
    for sender in rest:
        reason = _OPTED_OUT if facts.opted_out else ineligible_reason(sender, request, facts, conditions)
        if reason is not None:
            trail.append(skipped(sender, reason))
        else:
            reason = f"{decision.address} was chosen before it"
            trail.append(
                Candidate(sender.address, sender.kind, CandidateResult.NOT_NEEDED, reason, sender.sid)
            )
    return decision._replace(trail=tuple(trail))


def _select(
    pool: Pool | None, request: SelectionRequest, facts: RecipientFacts, conditions: SenderConditions
) -> Decision:
    if facts.opted_out:
        return Decision(None, None, (Candidate(request.texted, None, CandidateResult.SKIPPED, _OPTED_OUT),))
    if ":" in request.texted:  # whatsapp:, messenger:, rcs:
        reason = "the channel of the incoming message"
        candidate = Candidate(request.texted, None, CandidateResult.CHOSEN, reason)
        return Decision(None, request.texted, (candidate,))
    if pool is None:
        return _Selector(_EMPTY_POOL, request, facts, conditions).select_without_pool()
    assumed = _with_home_country(pool, request)
    return _Selector(pool, assumed, facts, conditions, is_assumed=assumed is not request).select()


def _texted_before_live(
    pool: Pool | None, request: SelectionRequest, conditions: SenderConditions
) -> Sender | None:
    """Return the number that the contact texted if it is pending.

    The message came through Twilio, so the number works for this contact: a port is complete, or, while a
    short code moves carrier by carrier, this contact's carrier has moved. For other contacts this proves
    nothing: their carriers may still route the number to the former provider.
    """
    if pool is None or request.to_another:
        return None
    texted = pool.find(request.texted, request.country)
    return texted if texted is not None and texted.sid in conditions.pending else None


def _with_home_country(pool: Pool, request: SelectionRequest) -> SelectionRequest:
    """Use a short code's country for a contact who texted it and whose country is unknown."""
    if request.country is not None:
        return request
    texted = pool.find(request.texted, None)
    if texted is None or texted.kind is not SenderKind.SHORT_CODE:
        return request
    return request._replace(country=texted.country)


def _with_note(decision: Decision, note: str) -> Decision:
    """Add a note to the reason of the chosen candidate, which is the last one."""
    *before, chosen = decision.trail
    return decision._replace(trail=(*before, chosen._replace(reason=f"{chosen.reason}; {note}")))


def _order(sender: Sender, request: SelectionRequest) -> tuple[int, bool, str]:
    order = ORDER_IN_CANADA if request.country == CANADA else ORDER
    return order.index(sender.kind), sender.country != request.country, sender.address


class _Selector:
    """One pass over the candidates, up to the first that can carry the reply."""

    __slots__ = ("_conditions", "_facts", "_is_assumed", "_listed", "_pool", "_request", "_texted", "_trail")

    def __init__(
        self,
        pool: Pool,
        request: SelectionRequest,
        facts: RecipientFacts,
        conditions: SenderConditions,
        *,
        is_assumed: bool = False,
    ) -> None:
        self._is_assumed = is_assumed  # the country is that of the texted short code
        self._pool = pool
        self._request = request
        self._facts = facts
        self._conditions = conditions
        self._texted = pool.find(request.texted, request.country)
        self._trail: list[Candidate] = []
        self._listed: set[str] = set()

    def select(self) -> Decision:
        request = self._request
        decision = self._preferred(request.preferred_sender) if request.preferred_sender else None
        if decision is None and request.policy is ReplyFrom.SAME_NUMBER:
            decision = self._same_number()
        if decision is not None:
            return decision
        groups = self._pool.groups_for(request.country, request.needs)
        decision = next(filter(None, map(self._from_group, groups)), None)
        return decision or self._last_resort("no sender of the Sender Pool can be used")

    def select_without_pool(self) -> Decision:
        if self._request.preferred_sender:
            self._skip_address(
                self._request.preferred_sender,
                "the reply names it as its sender, but the Sender Pool is unknown",
            )
        return self._last_resort("the Sender Pool is unknown")

    def _preferred(self, address: str) -> Decision | None:
        sender = self._pool.find(address, self._request.country)
        if sender is None:
            self._skip_address(address, "the reply names it as its sender, but it is not in the Sender Pool")
            return None
        is_texted = address == self._request.texted
        reason = (
            "the texted number, which the reply names" if is_texted else "the reply names it as its sender"
        )
        return self._choose_if_eligible(sender, reason)

    def _same_number(self) -> Decision | None:
        reason = f"the texted number, by the policy {ReplyFrom.SAME_NUMBER.value}"
        if self._texted is not None:
            return self._choose_if_eligible(self._texted, reason)
        return self._choose_texted_address(f"{reason}; it is not in the Sender Pool")

    def _from_group(self, group: CandidateGroup) -> Decision | None:
        for candidate in group.skipped:
            self._skip(candidate)
        if not group.tiers:
            return None
        if group.kind is SenderKind.ALPHANUMERIC and not self._request.one_way:
            for tier in group.tiers:
                for sender in islice(tier.ring, MAX_SKIPPED):
                    self._skip(skipped(sender, ONE_WAY_ONLY))
            return None
        decision = self._sticky(group.kind) if self._facts.last_sender is not None else None
        return decision or next(filter(None, map(self._from_tier, group.tiers)), None)

    def _sticky(self, kind: SenderKind) -> Decision | None:
        assert self._facts.last_sender is not None
        sender = self._pool.find(self._facts.last_sender, self._request.country)
        if sender is None or sender.kind is not kind:
            return None
        return self._choose_if_eligible(
            sender, f"{kind.value}, Sticky Sender of this contact", per_recipient=True
        )

    def _from_tier(self, tier: CandidateTier) -> Decision | None:
        area_code = self._request.area_code
        nearby, decision = tier.by_area_code.get(area_code) if area_code else None, None
        if nearby is not None:
            decision = self._from_ring(nearby, f"{tier.reason}, Area Code Geomatch {area_code}")
        return decision or self._from_ring(tier.ring, tier.reason)

    def _from_ring(self, ring: HashRing, reason: str) -> Decision | None:
        """Choose among equal senders: the texted number, else by the contact's place on the ring."""
        texted, only = self._texted, ring.only
        if texted is not None and only is None and ring.holds(texted):
            decision = self._choose_if_eligible(texted, f"{reason}, the texted number")
            if decision is not None:
                return decision
        if not self._facts.unreachable and self._conditions is NO_CONDITIONS:
            return self._choose(only or ring.first(self._request.contact), reason, only is None)
        if only is None:
            return self._least_recently_used(ring, reason)
        objection = dynamic_reason(only, self._facts, self._conditions)
        if objection is None:
            return self._choose(only, reason, per_recipient=False)
        self._skip(skipped(only, objection))
        return None

    def _least_recently_used(self, ring: HashRing, reason: str) -> Decision | None:
        """Choose the least recently used of a few senders, from the contact's place on the ring on."""
        used = self._conditions.used
        usable: list[Sender] = []
        for sender in islice(ring.iter_from(self._request.contact), MAX_EXAMINED):
            objection = dynamic_reason(sender, self._facts, self._conditions)
            if objection is not None:
                self._skip(skipped(sender, objection))
                continue
            usable.append(sender)
            if len(usable) == MAX_COMPARED or not used:
                break
        if not usable:
            return None
        chosen = min(usable, key=lambda sender: used.get(sender.sid, 0.0))
        if chosen is not usable[0]:
            reason += ", the least recently used"
        return self._choose(chosen, reason, per_recipient=True)

    def _last_resort(self, cause: str) -> Decision:
        decision = None
        if self._texted is None:
            decision = self._choose_texted_address(f"the texted number, because {cause}")
        return decision or Decision(None, None, tuple(self._trail))

    def _choose_if_eligible(
        self, sender: Sender, reason: str, *, per_recipient: bool = False
    ) -> Decision | None:
        objection = ineligible_reason(sender, self._request, self._facts, self._conditions)
        if objection is None:
            return self._choose(sender, reason, per_recipient)
        self._skip(skipped(sender, objection))
        return None

    def _choose(self, sender: Sender, reason: str, per_recipient: bool) -> Decision:
        address = sender.address
        if self._is_assumed:
            reason = reason.replace(_CONTACTS_COUNTRY, _ASSUMED_COUNTRY)
        self._trail.append(Candidate(address, sender.kind, CandidateResult.CHOSEN, reason, sender.sid))
        return Decision(sender, address, tuple(self._trail), per_recipient)

    def _choose_texted_address(self, reason: str) -> Decision | None:
        """Choose a number that is not in the pool; it is ours, because the contact's message came to it."""
        address = self._request.texted
        unreachable = UNREACHABLE if address in self._facts.unreachable else None
        objection = unreachable or self._conditions.objection(address)
        if objection is not None:
            self._skip_address(address, objection)
            return None
        self._trail.append(Candidate(address, None, CandidateResult.CHOSEN, reason))
        return Decision(None, address, tuple(self._trail))

    def _skip_address(self, address: str, reason: str) -> None:
        self._trail.append(Candidate(address, None, CandidateResult.SKIPPED, reason))

    def _skip(self, candidate: Candidate) -> None:
        sid = candidate.sid
        if sid is not None and sid not in self._listed and len(self._trail) < MAX_TRAIL:
            self._listed.add(sid)
            self._trail.append(candidate)
