"""Forwarding to the numbers' own URLs, which Twilio ignores in a Service."""

from __future__ import annotations

import pytest

from sms_router.routing.dispatch.dispatcher import Defaults, Dispatcher, ForwardConfig
from sms_router.routing.dispatch.resolution import RuleAction
from sms_router.routing.dispatch.responders import ForwardResponder
from sms_router.routing.handler.reply import Reply
from sms_router.routing.keywords.rule_table import RuleTable
from sms_router.routing.keywords.rules import MatchKind, Rule, Scope
from sms_router.routing.keywords.templates import StaticReply
from sms_router.routing.opt_outs.keywords_file import load_opt_out_keywords
from sms_router.routing.upstream.number_urls import NumberForwards
from sms_router.senders.models import Capability, Sender, SenderKind
from sms_router.senders.pool import Pool
from sms_router.twilio.webhook_url import NumberUrls
from tests.routing.messages import message

MG = "MG" + "0a" * 16
OWN = "https://sms.example.com/twilio"
LONG_CODE = "+14155550100"
POOL = Pool(MG, 1, (Sender("PN1", LONG_CODE, SenderKind.LONG_CODE, "US", Capability.SMS),))
URL = "https://old.example.com/sms"


def numbers(urls: NumberUrls | None, *, enabled: bool = True) -> NumberForwards:
    return NumberForwards(
        lambda service, texted, _: POOL if texted == LONG_CODE else None,
        lambda service, sid: urls if (service, sid) == (MG, "PN1") else None,
        lambda service: enabled,
        OWN,
        frozenset({"b.example"}),
    )


@pytest.mark.parametrize(
    ("urls", "forward"),
    [
        (NumberUrls(sms_url=URL), "old.example.com/sms (POST)"),
        (NumberUrls(sms_url=URL, sms_method="GET"), "old.example.com/sms (GET)"),
        (
            NumberUrls("", URL, "POST", "https://b.example/f", "GET"),
            "old.example.com/sms (POST), on failure to b.example/f (GET)",
        ),
        (NumberUrls("", URL, "POST", "nonsense"), "old.example.com/sms (POST)"),
        (NumberUrls(), "None"),
        (NumberUrls(sms_url=URL, sms_application_sid="AP1"), "None"),
        (NumberUrls(sms_url="nonsense"), "None"),
        (NumberUrls(sms_url=f"{OWN}/sms"), "None"),
        (NumberUrls(sms_url="https://SMS.example.com:443/twilio/sms/fallback?x"), "None"),
        (NumberUrls(sms_url=f"{OWN}/metrics"), "None"),
        (NumberUrls(sms_url="https://sms.example.com/other/sms"), "sms.example.com/other/sms (POST)"),
        (None, "None"),
    ],
)
def test_the_texts_of_a_number_are_forwarded_to_its_url(urls: NumberUrls | None, forward: str) -> None:
    assert str(numbers(urls).forward_for(message(recipient=LONG_CODE))) == forward


def test_nothing_is_forwarded_where_it_is_disabled_or_the_number_is_unknown() -> None:
    urls = NumberUrls(sms_url=URL)
    assert numbers(urls, enabled=False).forward_for(message(recipient=LONG_CODE)) is None
    assert numbers(urls).forward_for(message(recipient="54321")) is None
    forward = numbers(urls).forward_for(message(recipient=LONG_CODE))
    assert forward is not None
    assert forward.redirect_hosts == {"b.example"}


def test_a_wrong_url_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    forwards = numbers(NumberUrls(sms_url="https://user:secret@/x"))
    for _ in range(3):
        assert forwards.forward_for(message(recipient=LONG_CODE)) is None
    (line,) = caplog.messages
    assert line.startswith(f"the sms_url of {LONG_CODE} at Twilio cannot be called: it has no host")
    assert "secret" not in line


@pytest.mark.parametrize(
    ("body", "rule", "forwarded"),
    [
        ("HOURS", "HOURS", False),
        ("anything", f"{LONG_CODE}'s own URL", True),
        ("x" * 500, f"{LONG_CODE}'s own URL", True),
        ("STOP", "opt-out word STOP", False),
        ("YES", f"{LONG_CODE}'s own URL", True),
    ],
)
def test_rules_and_opt_out_keywords_precede_the_number_and_the_number_the_default(
    body: str, rule: str, forwarded: bool
) -> None:
    hours: Rule[RuleAction] = Rule(
        ("HOURS",),
        MatchKind.FIRST_WORD,
        Scope(),
        StaticReply(Reply("9 to 5")),
        "HOURS",
        "test",
        fold_accents=False,
    )
    forwards = ForwardConfig(None, numbers(NumberUrls(sms_url=URL)).forward_for)
    words = load_opt_out_keywords(None, frozenset())
    rules = Dispatcher(RuleTable.build([hours]), Defaults(StaticReply(Reply("default"))), words, forwards)
    inbound = message(body, recipient=LONG_CODE)
    resolution = rules.resolve(inbound)
    assert resolution.for_contact(opted_out=False).rule.startswith(rule)
    assert isinstance(resolution.for_contact(opted_out=False).responder, ForwardResponder) is forwarded
    assert not isinstance(resolution.for_contact(opted_out=True).responder, ForwardResponder)
    assert rules.resolve(message(body)).for_contact(opted_out=False).rule != f"{LONG_CODE}'s own URL"
