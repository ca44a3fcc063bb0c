"""Rules with hours, and keywords with one typing mistake, as the dispatcher finds them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router import Reply
from sms_router.routing.dispatch.dispatcher import Defaults, Dispatcher
from sms_router.routing.dispatch.resolution import RuleAction
from sms_router.routing.dispatch.responders import HandlerResponder, TemplateResponder
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchContext, MatchKind, Rule, Scope
from sms_router.routing.keywords.schedule import ALWAYS, Schedule, TimeZones
from sms_router.routing.keywords.templates import StaticReply
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from tests.routing.messages import message

SERVICE = "MG" + "0a" * 16
ZONES = TimeZones("UTC", {SERVICE: "America/New_York"})
ASKED = StaticReply(Reply("Did you mean it?"))
OFFICE = Schedule.window(["mon-fri"], "09:00", "17:00")
NIGHT = Schedule.window(["fri"], "22:00", "06:00")


def rule(
    word: str,
    *others: str,
    kind: MatchKind = MatchKind.FIRST_WORD,
    hours: Schedule = ALWAYS,
    countries: str = "",
    answer: RuleAction | None = None,
    name: str = "",
) -> Rule[RuleAction]:
    scope = Scope(countries=frozenset(countries.split()), hours=hours)
    return Rule(
        (word, *others), kind, scope, answer or StaticReply(Reply(word)), name or word, f"test, {word}"
    )


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def set(self, iso: str) -> None:
        self.now = datetime.fromisoformat(iso).replace(tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now


def dispatcher(
    *rules: Rule[RuleAction], clock: Callable[[], float] = float, asks: bool = False
) -> Dispatcher:
    defaults = Defaults(StaticReply(Reply("?")), suggestion=ASKED if asks else None)
    return Dispatcher(RuleTable.build(rules), defaults, load_opt_out_keywords(), zones=ZONES, clock=clock)


@pytest.mark.parametrize(
    ("moment", "service", "name"),
    [
        ("2026-01-05T08:59", None, "closed"),
        ("2026-01-05T09:00", None, "open"),
        ("2026-01-05T16:59:59", None, "open"),
        ("2026-01-05T17:00", None, "closed"),
        ("2026-01-10T12:00", None, "closed"),
        ("2026-01-05T13:59", SERVICE, "closed"),
        ("2026-01-05T14:00", SERVICE, "open"),
        ("2026-07-06T13:00", SERVICE, "open"),
        ("2026-01-09T21:59", None, "closed"),
        ("2026-01-09T22:00", None, "night"),
        ("2026-01-10T05:59", None, "night"),
        ("2026-01-10T06:00", None, "closed"),
    ],
)
def test_hours_count_by_the_clock_of_the_service(moment: str, service: str | None, name: str) -> None:
    clock = Clock()
    rules = dispatcher(
        rule("HOURS", name="closed"),
        rule("HOURS", name="open", hours=OFFICE),
        rule("HOURS", name="night", hours=NIGHT),
        clock=clock,
    )
    for other in ("2026-01-05T12:00", "2026-01-04T12:00", "2026-01-09T23:00", moment):
        clock.set(other)
        found = rules.resolve(message("hours", service=service))
    assert found.rule == name, "a resolution that was cached at another time does not count"


def test_the_moment_may_be_given() -> None:
    rules = dispatcher(rule("HOURS", name="open", hours=OFFICE))
    monday = datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp()
    assert rules.resolve(message("hours"), monday).rule == "open"
    assert rules.match_context(message("hours"), monday) == MatchContext(None, "12345", "US", 1065053340)
    assert rules.resolve(message("hours")).rule == "default"


def test_without_hours_the_time_is_not_read() -> None:
    def broken() -> float:
        raise AssertionError("the clock was read")

    rules = dispatcher(rule("HOURS"), clock=broken)
    assert rules.resolve(message("hours")).rule == "HOURS"
    assert rules.match_context(message("hours")).minute is None


SPANS = st.lists(
    st.tuples(st.sampled_from(["mon", "tue-thu", "sun"]), st.integers(0, 22), st.integers(1, 23)), max_size=3
).map(
    lambda windows: Schedule.of(
        [Schedule.window([days], f"{begins:02}:00", f"{begins + 1:02}:00") for days, begins, _ in windows]
    )
)


@given(SPANS, st.lists(st.integers(0, 14 * 24 * 60), min_size=1, max_size=8))
def test_a_cached_resolution_equals_a_new_one(hours: Schedule, minutes: list[int]) -> None:
    cached = dispatcher(rule("A", hours=hours, name="timed"))
    for minute in minutes:
        fresh = dispatcher(rule("A", hours=hours, name="timed"))
        assert (
            cached.resolve(message("a"), minute * 60.0).rule
            == fresh.resolve(message("a"), minute * 60.0).rule
        )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("BALNCE", "did you mean BALANCE"),
        ("blance!", "did you mean BALANCE"),
        ("balance", "BALANCE"),
        ("balnce please", "default"),
        ("houres", "did you mean HOURS"),
        ("hour", "did you mean HOURS"),
        ("opem", "did you mean OPEN"),
        ("shopp", "did you mean SHOP"),
        ("shoop", "did you mean SHOP"),
        ("sop", "default"),  # STOP is as similar as SHOP
        ("stp", "default"),
        ("mene", "default"),  # MENU and MEND are equally similar
        ("bonjuor", "default"),  # holds in another country
        ("dro", "did you mean DROP"),
        ("gobblex", "default"),
    ],
)
def test_a_keyword_is_offered_when_it_can_be_no_other(text: str, name: str) -> None:
    rules = dispatcher(
        rule("BALANCE"),
        rule("HOURS", "OPEN"),
        rule("SHOP"),
        rule("MENU"),
        rule("MEND"),
        rule("BONJOUR", countries="CA"),
        rule("DROP", name="dropped"),
        rule("DROP", name="drops", kind=MatchKind.WHOLE),
        rule("gob+le?", kind=MatchKind.PATTERN),
        asks=True,
    )
    assert rules.resolve(message(text)).rule == name


def test_nothing_is_suggested_unless_it_is_configured() -> None:
    assert dispatcher(rule("BALANCE")).resolve(message("BALNCE")).rule == "default"


def test_a_keyword_is_offered_only_while_it_holds() -> None:
    rules = dispatcher(rule("BALANCE", hours=OFFICE), asks=True)
    monday = datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp()
    assert rules.resolve(message("BALNCE"), monday).rule == "did you mean BALANCE"
    assert rules.resolve(message("BALNCE"), monday + 86_400 / 2).rule == "default"


def never() -> None:
    raise AssertionError("a near miss was carried out")


WORDS = st.sampled_from(["balance", "hours", "menu", "pay now"])


@given(WORDS, st.integers(0, 8), st.sampled_from(["", "a", "b", "1", " "]), st.integers(0, 2))
def test_a_near_miss_is_never_carried_out(word: str, place: int, letters: str, gone: int) -> None:
    handler = Handler.of(never, HandlerEnvironment())
    rules = dispatcher(
        *(rule(each, answer=handler) for each in ("balance", "hours", "menu", "pay now")), asks=True
    )
    text = word[:place] + letters + word[place + gone :]
    found = rules.resolve(message(text))
    if isinstance(found.responder, HandlerResponder):
        first = " ".join(text.split()).split(" ")
        assert word in (first[0], " ".join(first[:2])), "the keyword itself was texted"
    else:
        assert isinstance(found.responder, TemplateResponder)


OTHERS = st.lists(
    st.builds(
        lambda word, kind: rule(f"zz{word}", kind=kind),
        st.text("qwxyz0", min_size=1, max_size=6),
        st.sampled_from([MatchKind.WHOLE, MatchKind.FIRST_WORD, MatchKind.PREFIX, MatchKind.PATTERN]),
    ),
    max_size=8,
    unique_by=lambda each: each.words,
)


@given(OTHERS, st.sampled_from(["balance", "balnce", "Hours, please", "vote3", "order 12", "hello", ""]))
def test_unrelated_rules_change_nothing(others: list[Rule[RuleAction]], text: str) -> None:
    mine = (
        rule("BALANCE"),
        rule("HOURS"),
        rule("VOTE", kind=MatchKind.PREFIX),
        rule(r"order (\d+)", kind=MatchKind.PATTERN),
    )
    alone, among = dispatcher(*mine, asks=True), dispatcher(*others, *mine, asks=True)
    assert alone.resolve(message(text)) == among.resolve(message(text))
