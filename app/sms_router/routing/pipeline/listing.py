"""The rules as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from sms_router.routing.dispatch.resolution import RuleAnswer
from sms_router.routing.handler.handler import Handler
from sms_router.routing.keywords.rules import MatchKind, Rule
from sms_router.routing.keywords.templates import StaticReply
from sms_router.routing.upstream.forward_rule import Forward

_KINDS = list(MatchKind)


def by_precedence(rules: Iterable[Rule[RuleAnswer]]) -> list[Rule[RuleAnswer]]:
    """Return the rules in the order in which their kinds are tried."""
    return sorted(rules, key=lambda rule: _KINDS.index(rule.kind))


def describe_responder(answer: RuleAnswer) -> str:
    """Say what answers a rule's texts."""
    if isinstance(answer, Forward):
        return f"forwarded to {answer}"
    if isinstance(answer, Handler):
        return f"function {answer.name}"
    return "text" if isinstance(answer, StaticReply) else "template"
