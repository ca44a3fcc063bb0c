"""What rules would have made of messages that have been."""

from __future__ import annotations

import pytest

from app import Reply
from app.routing.dispatch import Defaults, Dispatcher
from app.routing.handlers import Handler
from app.routing.hours import Hours
from app.routing.keywords import RuleTable
from app.routing.rules import MatchKind, Rule, Scope
from app.routing.templates import TextAnswer
from app.routing.threads import Threads
from app.routing.trial import Outcome, tried
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
