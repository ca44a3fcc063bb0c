"""What rules would have made of messages that have been."""

from __future__ import annotations

import pytest

from sms_router import Reply
from sms_router.routing.dispatch.dispatcher import Defaults, Dispatcher
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.thread_pool import Threads
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchKind, Rule, Scope
from sms_router.routing.keywords.schedule import Hours
from sms_router.routing.keywords.templates import TextAnswer
from sms_router.routing.pipeline.trial import Outcome, tried
from tests.routing.messages import message


def never() -> None:
    raise AssertionError("a handler was run")


HANDLER = Handler.of(never, Threads(1))
RULES = Dispatcher(
    RuleTable.build(
        [
            Rule(("HOURS",), MatchKind.FIRST_WORD, Scope(), TextAnswer(Reply("9 to 5")), "hours", ""),
            Rule(
                ("HOURS",),
                MatchKind.FIRST_WORD,
                Scope(hours=Hours.window(["sun"], "00:00", "24:00")),
                TextAnswer(Reply("closed", "https://example.com/a.png")),
                "sunday",
                "",
            ),
            Rule(("PAY",), MatchKind.FIRST_WORD, Scope(), HANDLER, "pay", ""),
        ]
    ),
    Defaults(TextAnswer(Reply("What?"))),
)
THURSDAY, SUNDAY = 0, 3 * 86_400


@pytest.mark.parametrize(
    ("text", "moment", "outcome"),
    [
        ("hours", THURSDAY, Outcome("hours", "9 to 5")),
        ("hours", SUNDAY, Outcome("sunday", "closed\nhttps://example.com/a.png")),
        ("pay", THURSDAY, Outcome("pay", f"the function {HANDLER.source}")),
        ("pay 5", THURSDAY, Outcome("pay", f"the function {HANDLER.source} with '5'")),
        ("hello", THURSDAY, Outcome("default", "What?")),
    ],
)
def test_a_message_is_tried_at_the_time_when_it_came(text: str, moment: float, outcome: Outcome) -> None:
    assert tried(RULES, message(text), moment) == outcome
