"""Which number answers: a pure function of the pool, the request and what has been learned."""

from __future__ import annotations

from dataclasses import replace

from sms_router.senders.candidates import ORDER, ORDER_IN_CANADA
from sms_router.senders.conditions import NO_CONDITIONS, SenderConditions
from sms_router.senders.country import CANADA
from sms_router.senders.decision import Candidate, CandidateResult, Decision
from sms_router.senders.eligibility import ineligible_reason, rejected
from sms_router.senders.models import Sender, SenderKind
from sms_router.senders.pool import Place, Pool
from sms_router.senders.request import NO_FACTS, RecipientFacts, ReplyFrom, SelectionRequest
from sms_router.senders.walk import Selector

__all__ = [
    "NO_CONDITIONS",
    "NO_FACTS",
    "Candidate",
    "CandidateResult",
    "Decision",
    "RecipientFacts",
    "ReplyFrom",
    "SelectionRequest",
    "SenderConditions",
    "explain",
    "select",
    "stands",
    "usual",
]

_OPTED_OUT = "this person has opted out"
_REACHED = "on its way in, but this person has texted it through Twilio"
_NO_POOL = Pool("", 0, ())
_QUEUED = "over its rate, like every other that could answer: Twilio queues it"


def select(
    pool: Pool | None,
    request: SelectionRequest,
    facts: RecipientFacts = NO_FACTS,
    conditions: SenderConditions = NO_CONDITIONS,
) -> Decision:
    """Choose the sender of one reply, with the candidates that were examined on the way.

    In this order: the sender that the handler wished for, the texted number if that is the
    policy, then kind by kind (design 6). When none is left the answer leaves from the number
    that was texted, unless that one is known to be unable. A rate alone silences nobody: where
    everything that could answer is over its rate, the first of it is taken, and Twilio queues the
    reply. ``pool`` is None when nothing is known about the Service.
    """
    if conditions.pending:
        texted = _texted_before_its_day(pool, request, conditions)
        if texted is not None:
            decision = select(pool, request, facts, conditions.as_if_live(texted.sid))
            return _noted(decision, _REACHED) if decision.sender is texted else decision
    if facts is NO_FACTS and pool is not None:
        decision = _remembered(pool, request)
        if stands(decision, conditions):
            return decision
    decision = _select(pool, request, facts, conditions)
    if decision.address is None and conditions.over_rate:
        queued = _select(pool, request, facts, conditions.whatever_the_rate())
        return _noted(queued, _QUEUED) if queued.address is not None else decision
    return decision


def _texted_before_its_day(
    pool: Pool | None, request: SelectionRequest, conditions: SenderConditions
) -> Sender | None:
    """Return the number that was texted, if it is on its way: it may answer those who have texted it.

    The text came through Twilio, so that the number works for this person, whatever is marked: a port is
    complete, or, while a short code moves carrier by carrier, this person's carrier has moved. For others
    that says nothing: their carriers may still send what leaves here to the former provider (facts 9.2).
    """
    if pool is None or request.to_another:
        return None
    texted = pool.find(request.texted, request.country)
    return texted if texted is not None and texted.sid in conditions.pending else None


def usual(pool: Pool, request: SelectionRequest) -> Decision | None:
    """Return what was chosen here for people about whom nothing is known; None when nothing was yet."""
    return pool.remembered(_place(request))


def stands(decision: Decision, conditions: SenderConditions) -> bool:
    """Tell whether a choice made regardless of the conditions is the one that they lead to.

    What speaks against senders that were not chosen changes nothing, as if they were not there; who
    is one of several equals depends on when each was last used.
    """
    if conditions is NO_CONDITIONS:
        return True
    if decision.per_recipient:
        return False
    chosen = decision.sender.sid if decision.sender is not None else decision.address
    return chosen is None or conditions.objection(chosen) is None


def _remembered(pool: Pool, request: SelectionRequest) -> Decision:
    """Choose for somebody about whom nothing is known, once for everybody in the same place."""
    place = _place(request)
    decision = pool.remembered(place)
    if decision is None:
        decision = _select(pool, request, NO_FACTS, NO_CONDITIONS)
        if not decision.per_recipient:
            pool.remember(place, decision)
    return decision


def _place(request: SelectionRequest) -> Place:
    return (
        request.country,
        request.area_code,
        request.needs.value,
        request.texted,
        request.policy,
        request.preferred_sender,
        request.one_way,
    )


def _select(
    pool: Pool | None, request: SelectionRequest, facts: RecipientFacts, conditions: SenderConditions
) -> Decision:
    if facts.opted_out:
        line = Candidate(request.texted, None, CandidateResult.PASSED_OVER, _OPTED_OUT)
        return Decision.of(None, None, (line,))
    if ":" in request.texted:  # whatsapp:, messenger:, rcs: a channel is answered on itself (facts 5.1)
        line = Candidate(request.texted, None, CandidateResult.TAKEN, "the channel that the message came on")
        return Decision.of(None, request.texted, (line,))
    if pool is None:
        return Selector(_NO_POOL, request, facts, conditions).without_pool()
    return Selector(pool, _with_home_country(pool, request), facts, conditions).select()


def _noted(decision: Decision, note: str) -> Decision:
    """Say more of the one that was taken."""
    *before, taken = decision.trail
    line = replace(taken, reason=f"{taken.reason}; {note}")
    return Decision.of(decision.sender, decision.address, (*before, line), personal=decision.per_recipient)


def explain(
    pool: Pool | None,
    request: SelectionRequest,
    facts: RecipientFacts = NO_FACTS,
    conditions: SenderConditions = NO_CONDITIONS,
) -> Decision:
    """Choose as ``select`` does, with one line for every sender of the Service."""
    decision = select(pool, request, facts, conditions)
    if pool is None:
        return decision
    texted = _texted_before_its_day(pool, request, conditions)
    if texted is not None:
        conditions = conditions.as_if_live(texted.sid)
    request = _with_home_country(pool, request)
    told = {line.sid for line in decision.trail if line.sid}
    rest = sorted(
        (sender for sender in pool.senders if sender.sid not in told),
        key=lambda sender: _distance(sender, request),
    )
    lines = (_afterwards(sender, decision, request, facts, conditions) for sender in rest)
    return Decision.of(
        decision.sender, decision.address, (*decision.trail, *lines), personal=decision.per_recipient
    )


def _with_home_country(pool: Pool, request: SelectionRequest) -> SelectionRequest:
    """People who text a short code are in its country, when nothing else names theirs."""
    if request.country is not None:
        return request
    texted = pool.find(request.texted, None)
    if texted is None or texted.kind is not SenderKind.SHORT_CODE:
        return request
    return request._replace(country=texted.country)


def _afterwards(
    sender: Sender,
    decision: Decision,
    request: SelectionRequest,
    facts: RecipientFacts,
    conditions: SenderConditions,
) -> Candidate:
    against = _OPTED_OUT if facts.opted_out else ineligible_reason(sender, request, facts, conditions)
    if against is not None:
        return rejected(sender, against)
    why = f"{decision.address} was taken before it"
    return Candidate(sender.address, sender.kind, CandidateResult.NOT_NEEDED, why, sender.sid)


def _distance(sender: Sender, request: SelectionRequest) -> tuple[int, bool, str]:
    order = ORDER_IN_CANADA if request.country == CANADA else ORDER
    return order.index(sender.kind), sender.country != request.country, sender.address
