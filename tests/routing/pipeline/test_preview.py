"""What other rules would have replied to past messages."""

from __future__ import annotations

import pytest

from sms_router import Reply
from sms_router.routing.dispatch.dispatcher import Defaults, Dispatcher
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchKind, Rule, Scope
from sms_router.routing.keywords.schedule import Schedule
from sms_router.routing.keywords.templates import StaticReply
from sms_router.routing.pipeline.explain import Preview, preview
from tests.routing.messages import message


def never() -> None:
    raise AssertionError("a handler was run")


HANDLER = Handler.of(never, HandlerEnvironment())
RULES = Dispatcher(
    RuleTable.build(
        [
            Rule(("HOURS",), MatchKind.FIRST_WORD, Scope(), StaticReply(Reply("9 to 5")), "hours", ""),
            Rule(
                ("HOURS",),
                MatchKind.FIRST_WORD,
                Scope(hours=Schedule.window(["sun"], "00:00", "24:00")),
                StaticReply(Reply("closed", "https://example.com/a.png")),
                "sunday",
                "",
            ),
            Rule(("PAY",), MatchKind.FIRST_WORD, Scope(), HANDLER, "pay", ""),
        ]
    ),
    Defaults(StaticReply(Reply("What?"))),
)
THURSDAY, SUNDAY = 0, 3 * 86_400


@pytest.mark.parametrize(
    ("text", "moment", "outcome"),
    [
        ("hours", THURSDAY, Preview("hours", "9 to 5")),
        ("hours", SUNDAY, Preview("sunday", "closed\nhttps://example.com/a.png")),
        ("pay", THURSDAY, Preview("pay", f"the function {HANDLER.source} is called")),
        ("pay 5", THURSDAY, Preview("pay", f"the function {HANDLER.source} is called with '5'")),
        ("hello", THURSDAY, Preview("default", "What?")),
    ],
)
def test_a_message_is_tried_at_the_time_when_it_came(text: str, moment: float, outcome: Preview) -> None:
    assert preview(RULES, message(text), moment) == outcome
