"""Which rule takes a message, and what responds to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from sms_router import Reply
from sms_router.routing.dispatch.dispatcher import Defaults, Dispatcher, ForwardConfig
from sms_router.routing.dispatch.resolution import RuleAction
from sms_router.routing.dispatch.responders import ForwardResponder, HandlerResponder, TemplateResponder
from sms_router.routing.handler.environment import HandlerEnvironment
from sms_router.routing.handler.handler import Handler
from sms_router.routing.handler.reply import SILENCE, ReplyFailed
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchContext, MatchKind, Rule, Scope
from sms_router.routing.keywords.templates import ConfiguredReply, StaticReply, TemplateError
from sms_router.routing.upstream.forward_rule import Forward, Target
from sms_router.routing.upstream.models import Headers
from sms_router.twilio.inbound import InboundMessage
from sms_router.twilio.webhook_url import WebhookUrl
from tests.routing.messages import message

HOURS = StaticReply(Reply("9 to 5"))
DEFAULT = StaticReply(Reply("Text HOURS."))
ELSEWHERE = Forward(Target(WebhookUrl.parse("https://a.example/sms")))
THREADS = HandlerEnvironment()


def rule(word: str, answer: RuleAction, scope: Scope | None = None) -> Rule[RuleAction]:
    return Rule((word,), MatchKind.FIRST_WORD, scope or Scope(), answer, word, f"test, {word}")


def dispatcher(*rules: Rule[RuleAction], default: ConfiguredReply | None = DEFAULT) -> Dispatcher:
    return Dispatcher(RuleTable.build(rules), Defaults(default))


def running(function: Callable[..., object]) -> HandlerResponder:
    action = dispatcher(rule("DO", Handler.of(function, THREADS))).resolve(message("do it now")).responder
    assert isinstance(action, HandlerResponder)
    return action


def test_a_written_answer_is_there_at_once() -> None:
    found = dispatcher(rule("HOURS", HOURS)).resolve(message("Hours, please"))
    assert found.rule == "HOURS"
    assert isinstance(found.responder, TemplateResponder)
    assert found.responder.argument == "please"
    assert found.responder.reply(message()) == Reply("9 to 5")


def test_a_function_gets_keyword_and_argument() -> None:
    found = running(lambda: None)
    assert (found.keyword, found.argument) == ("DO", "it now")


@pytest.mark.parametrize(("default", "reply"), [(DEFAULT, Reply("Text HOURS.")), (None, SILENCE)])
def test_everything_else_gets_the_default_or_no_reply(default: ConfiguredReply | None, reply: Reply) -> None:
    found = dispatcher(rule("HOURS", HOURS), default=default).resolve(message("hello"))
    assert found.rule == ("default" if default else "no rule and no default")
    assert isinstance(found.responder, TemplateResponder)
    assert found.responder.reply(message("hello")) == reply


@pytest.mark.parametrize("kind", ["STOP", "START", "HELP"])
def test_what_twilio_has_answered_is_not_answered_again(kind: str) -> None:
    found = dispatcher(rule("STOP", HOURS)).resolve(message("STOP", OptOutType=kind))
    assert found.rule == f"opt-out word {kind}, answered by Twilio"
    assert isinstance(found.responder, TemplateResponder)
    assert found.responder.reply(message()) == SILENCE


@pytest.mark.parametrize(("body", "rule_name"), [("HOURS", "HOURS"), ("hello", "default")])
def test_an_unknown_opt_out_type_is_ignored(body: str, rule_name: str) -> None:
    assert dispatcher(rule("HOURS", HOURS)).resolve(message(body, OptOutType="BLOCK")).rule == rule_name


def test_a_rule_applies_in_its_scope() -> None:
    table = dispatcher(
        rule("HOURS", StaticReply(Reply("here")), Scope(numbers=frozenset({"54321"}))),
        rule("HOURS", StaticReply(Reply("Canada")), Scope(countries=frozenset({"CA"}))),
    )
    for incoming, reply in (
        (message(recipient="54321"), "here"),
        (message(sender="+16475550123"), "Canada"),
        (message(FromCountry="CA"), "Canada"),
        (message(), "Text HOURS."),
    ):
        action = table.resolve(incoming).responder
        assert isinstance(action, TemplateResponder)
        assert action.reply(incoming) == Reply(reply)


def test_the_occasion_is_the_services_number_and_country() -> None:
    incoming = message(sender="+447700900123", recipient="60123", service="MG1")
    assert dispatcher().match_context(incoming) == MatchContext("MG1", "60123", "GB")


class FailingAnswer(StaticReply):
    def reply(self, *_: object) -> Reply:
        raise TemplateError("template menu.txt: its text is empty")


def test_a_template_that_fails_is_a_failure_with_its_cause() -> None:
    action = dispatcher(rule("HOURS", FailingAnswer(Reply()))).resolve(message()).responder
    assert isinstance(action, TemplateResponder)
    assert action.reply(message()) == ReplyFailed("template menu.txt: its text is empty")


class AwkwardError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


async def cancels_itself() -> None:
    raise asyncio.CancelledError


async def times_out() -> None:
    async with asyncio.timeout(0):
        await asyncio.sleep(60)


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def raising_later(error: BaseException) -> Callable[[], object]:
    async def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("function", "cause"),
    [
        (raising(ValueError("no\nbalance")), "ValueError: no balance"),
        (raising_later(ValueError("no balance")), "ValueError: no balance"),
        (raising(SystemExit(3)), "SystemExit: 3"),
        (raising_later(SystemExit(3)), "SystemExit: 3"),
        (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
        (raising_later(KeyboardInterrupt()), "KeyboardInterrupt"),
        (raising(GeneratorExit()), "GeneratorExit"),
        (raising_later(GeneratorExit()), "GeneratorExit"),
        (raising_later(BaseExceptionGroup("two", [KeyboardInterrupt()])), "BaseExceptionGroup: two"),
        (raising(StopIteration()), "RuntimeError: coroutine raised StopIteration"),
        (cancels_itself, "asyncio.exceptions.CancelledError"),
        (raising(asyncio.CancelledError()), "asyncio.exceptions.CancelledError"),
        (times_out, "TimeoutError"),
        (raising(AwkwardError()), f"{__name__}.AwkwardError: <exception str() failed>"),
        (
            lambda: 5,
            "<lambda> returned int; a handler",
        ),
    ],
)
async def test_whatever_a_handler_raises_is_a_failure_with_its_cause(
    function: Callable[..., object], cause: str
) -> None:
    outcome = await running(function).run(message())
    assert isinstance(outcome, ReplyFailed)
    assert outcome.cause.startswith(cause)


async def test_a_stop_of_the_worker_is_not_a_failure() -> None:
    began = asyncio.Event()

    async def wait() -> None:
        began.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(running(wait).run(message()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Recording:
    """Records the forwards in place of calling an upstream."""

    def __init__(self) -> None:
        self.incoming: list[tuple[Forward, float, Headers]] = []

    async def forward(
        self, forward: Forward, message: InboundMessage, until: float, headers: Headers
    ) -> Reply | ReplyFailed:
        self.incoming.append((forward, until, headers))
        return Reply("from the upstream")


async def test_a_rule_or_the_default_may_be_another_application() -> None:
    votes, rest = (
        Forward(Target(WebhookUrl.parse(f"https://a.example/{name}"))) for name in ("votes", "rest")
    )
    upstreams = Recording()
    table = Dispatcher(
        RuleTable.build([rule("VOTE", votes)]), Defaults(rest), forwards=ForwardConfig(upstreams.forward)
    )
    for body, forward in (("VOTE 7", votes), ("anything", rest)):
        action = table.resolve(message(body)).responder
        assert isinstance(action, ForwardResponder)
        assert await action.run(message(body), 12.5, ((b"a", b"b"),)) == Reply("from the upstream")
        assert upstreams.incoming.pop() == (forward, 12.5, ((b"a", b"b"),))


@pytest.mark.parametrize(
    ("rules", "defaults", "forwards"),
    [
        ([rule("HOURS", HOURS)], Defaults(DEFAULT, {"MG1": DEFAULT}), False),
        ([], Defaults(), False),
        ([rule("HOURS", HOURS), rule("VOTE", ELSEWHERE)], Defaults(DEFAULT), True),
        ([], Defaults(ELSEWHERE), True),
        ([], Defaults(DEFAULT, {"MG1": ELSEWHERE}), True),
    ],
)
def test_a_rule_set_reports_whether_it_forwards(
    rules: list[Rule[RuleAction]], defaults: Defaults, forwards: bool
) -> None:
    one = Dispatcher(RuleTable.build(rules), defaults)
    assert one.forwards is forwards
    other = Dispatcher(RuleTable.build([]))
    other.replace_rules(one)
    assert other.forwards is forwards


async def test_where_nothing_is_ever_sent_a_forward_fails() -> None:
    rest = Forward(Target(WebhookUrl.parse("https://a.example/sms")))
    action = Dispatcher(RuleTable.build([]), Defaults(rest)).resolve(message()).responder
    assert isinstance(action, ForwardResponder)
    assert await action.run(message(), 0, ()) == ReplyFailed("nothing is forwarded here")
