"""Equal replies are composed once, and again as soon as anything that affects them changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sms_router import Reply
from sms_router.routing.pipeline import composer
from sms_router.routing.pipeline.composer import Composer, RenderedReply, ReplyCache
from sms_router.senders.availability import Availability
from sms_router.senders.cordons import Cordon, Cordons
from sms_router.senders.models import NO_FACTS, Capability, RecipientFacts, ReplyFrom, Sender, SenderKind
from sms_router.senders.pending import PendingNumber, PendingNumbers
from sms_router.senders.pool import Pool
from sms_router.senders.rate_limits import RateLimiter, RateLimits, SenderLimit
from sms_router.twilio.inbound import InboundMessage
from tests.routing.messages import message

MG = "MG" + "0a" * 16
SHORT_CODE = Sender("SC" + "0a" * 16, "12345", SenderKind.SHORT_CODE, "US", Capability.SMS | Capability.MMS)
LONG_CODE = Sender("PN" + "0a" * 16, "+14155550100", SenderKind.LONG_CODE, "US", Capability.SMS)
OTHER_LONG_CODE = Sender("PN" + "0b" * 16, "+14155550101", SenderKind.LONG_CODE, "US", Capability.SMS)
POOL = Pool(MG, 1, (SHORT_CODE, LONG_CODE))
FROM_SHORT_CODE, FROM_LONG_CODE = b'from="12345"', b'from="+14155550100"'


class ComposerFixture:
    """A composer, and what may change between its replies."""

    def __init__(self, pool: Pool = POOL, limits: RateLimits | None = None) -> None:
        self.pool = pool
        self.now = 1_767_960_000.0
        self.cordons = Cordons(lambda: self.now)
        self.pending = PendingNumbers(lambda: {MG: self.pool}, lambda: self.now)
        rates = RateLimiter(limits or RateLimits(), lambda: self.now)
        self.availability = Availability(self.cordons, rates, self.pending)
        self.composer = self.composer_of(lambda: self.pool)

    def composer_of(self, pool: Callable[[], Pool]) -> Composer:
        return Composer(
            lambda *_: pool(),
            {None: ReplyFrom.SHORT_CODE_FIRST},
            "https://sms.example.com",
            self.availability,
        )

    def with_empty_caches(self) -> Composer:
        """Return one with empty caches, on a pool without a selection so far."""
        fresh = Pool(self.pool.service_sid, self.pool.version, self.pool.senders)
        return self.composer_of(lambda: fresh)

    def change(self, what: str, of: Any) -> None:
        if what == "pool":
            self.pool = Pool(MG, 1, tuple(of))
        elif what == "cordon":
            until = self.now + 60
            self.cordons.install(
                [Cordon(each.sid, each.address, MG, "incident", self.now, until, "ada") for each in of]
            )
        elif what == "pending":
            self.pending.install([PendingNumber(each.address, each.country, "on its way") for each in of])
        else:
            self.now += of

    def answer(
        self,
        text: str = "9 to 5",
        rule: str = "HOURS",
        facts: RecipientFacts | None = None,
        sender: str = "+14155550123",
        recipient: str = "12345",
        **parameters: str,
    ) -> RenderedReply:
        incoming = message(sender=sender, recipient=recipient, **parameters)
        reply = Reply(text)
        return (
            self.composer.compose(incoming, reply, rule, facts)
            if facts
            else self.composer.compose(incoming, reply, rule)
        )


@pytest.fixture
def fixture() -> ComposerFixture:
    """One whose reply was sent once."""
    fixture = ComposerFixture()
    assert FROM_SHORT_CODE in fixture.answer().document
    return fixture


def test_the_same_reply_to_another_contact_differs_in_its_receipts_only(fixture: ComposerFixture) -> None:
    first = fixture.answer()
    incoming = replace(message(sender="+14155550124", recipient="12345"), sid="SM" + "0b" * 16)
    second = fixture.composer.compose(incoming, Reply("9 to 5"), "HOURS")
    assert second.decision is first.decision
    assert second.trail_text == first.trail_text
    assert second.document == first.document.replace(b"0a" * 16, b"0b" * 16)


@pytest.mark.parametrize(
    ("changed", "holds"),
    [
        (lambda fixture: fixture.answer(text="10 to 6"), lambda it: b"10 to 6" in it.document),
        (lambda fixture: fixture.answer(rule="OPEN"), lambda it: it.trail_text.startswith("OPEN\n")),
        (lambda fixture: fixture.answer(FromCountry="CA"), lambda it: FROM_LONG_CODE in it.document),
        (
            lambda fixture: fixture.answer(facts=RecipientFacts(opted_out=True)),
            lambda it: it.decision is None,
        ),
        (
            lambda fixture: fixture.answer(facts=RecipientFacts(frozenset({"12345"}))),
            lambda it: FROM_LONG_CODE in it.document,
        ),
        (
            lambda fixture: fixture.composer.compose(
                message(recipient="12345"), Reply("9 to 5", sender="+14155550100"), "HOURS"
            ),
            lambda it: FROM_LONG_CODE in it.document,
        ),
        (
            lambda fixture: fixture.composer.compose(
                message(recipient="12345"), Reply("9 to 5", "https://a.example/b.png"), "HOURS"
            ),
            lambda it: b"<Media>" in it.document,
        ),
    ],
    ids=[
        "another text",
        "another rule",
        "another country",
        "opted out",
        "unreachable",
        "a preferred sender",
        "pictures",
    ],
)
def test_different_replies_are_composed_separately(
    fixture: ComposerFixture,
    changed: Callable[[ComposerFixture], RenderedReply],
    holds: Callable[[RenderedReply], bool],
) -> None:
    before = fixture.answer()
    assert holds(changed(fixture))
    assert fixture.answer() == before


def test_another_pool_is_used_at_once(fixture: ComposerFixture) -> None:
    fixture.pool = Pool(MG, 1, (LONG_CODE,))
    assert FROM_LONG_CODE in fixture.answer().document
    fixture.pool = POOL
    assert FROM_SHORT_CODE in fixture.answer().document


def test_a_cordon_holds_at_once_and_no_longer_than_it_lasts(fixture: ComposerFixture) -> None:
    fixture.cordons.install(
        [Cordon(SHORT_CODE.sid, "12345", MG, "carrier incident", fixture.now, fixture.now + 60, "ada")]
    )
    cordoned = fixture.answer()
    assert FROM_LONG_CODE in cordoned.document
    assert "carrier incident" in cordoned.trail_text
    fixture.now += 61
    released = fixture.answer()
    assert FROM_SHORT_CODE in released.document
    assert "carrier incident" not in released.trail_text


def test_the_reply_is_composed_again_after_a_cordon_ends() -> None:
    fixture = ComposerFixture()
    fixture.cordons.install([Cordon(SHORT_CODE.sid, "12345", MG, "incident", fixture.now, None, "ada")])
    assert FROM_LONG_CODE in fixture.answer().document
    fixture.cordons.install([])
    assert FROM_SHORT_CODE in fixture.answer().document


def test_a_pending_number_is_skipped_except_for_contacts_who_text_it(fixture: ComposerFixture) -> None:
    assert FROM_SHORT_CODE in fixture.answer(recipient="+14155550100").document
    fixture.pending.install([PendingNumber("12345", "US", "on its way")])
    assert FROM_LONG_CODE in fixture.answer(recipient="+14155550100").document
    assert FROM_SHORT_CODE in fixture.answer().document
    fixture.pending.install([])
    assert FROM_SHORT_CODE in fixture.answer(recipient="+14155550100").document


def test_a_limit_counts_every_reply() -> None:
    fixture = ComposerFixture(limits=RateLimits(by_number={"12345": SenderLimit(per_day=3)}))
    senders = [FROM_SHORT_CODE in fixture.answer().document for _ in range(5)]
    assert senders == [True, True, True, False, False]


def test_each_contact_has_a_choice_among_equal_senders() -> None:
    fixture = ComposerFixture(Pool(MG, 1, (LONG_CODE, OTHER_LONG_CODE)))
    chosen = {fixture.answer(sender=f"+1415555{number:04}").decision for number in range(40)}
    assert {each.address for each in chosen if each is not None} == {"+14155550100", "+14155550101"}


def test_the_reply_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composer, "MAX_CACHED_REPLIES", 3)
    cache = ReplyCache()
    for number in range(10):
        cache.put(POOL, (number,), RenderedReply(b"<Response/>", str(number)))
    assert sum(cache.get(POOL, (number,)) is not None for number in range(10)) <= 3
    cache.put(POOL, ("large",), RenderedReply(b"x" * 1501, ""))
    assert cache.get(POOL, ("large",)) is None


SENDERS = (
    SHORT_CODE,
    LONG_CODE,
    OTHER_LONG_CODE,
    Sender("SC" + "0b" * 16, "12345", SenderKind.SHORT_CODE, "CA", Capability.SMS),
    Sender("PN" + "0c" * 16, "+18885550100", SenderKind.TOLL_FREE, "US", Capability.SMS | Capability.MMS),
    Sender("PN" + "0d" * 16, "Acme", SenderKind.ALPHANUMERIC, "US", Capability.SMS),
)
NUMBERS = sorted({each.address for each in SENDERS})
ADDRESSES = st.sampled_from([*NUMBERS, "+442071838750", "whatsapp:+14155550100"])

QUESTION: dict[str, Any] = {
    "sender": "+14155550123",
    "recipient": "12345",
    "country": "US",
    "rule": "HOURS",
    "facts": NO_FACTS,
    "text": "9 to 5",
    "media": (),
    "preferred": None,
    "one_way": False,
}
OTHERS: dict[str, list[Any]] = {
    "sender": ["+12125550123", "+16475550123", "+442071838750", "12345"],
    "recipient": [*NUMBERS, "+442071838750", "whatsapp:+14155550100"],
    "country": ["CA", ""],
    "rule": ["OPEN"],
    "facts": [RecipientFacts(opted_out=True), RecipientFacts(last_sender="+14155550101")],
    "text": ["9 to 5!", "<&>", "x" * 700, "", ("a", "b")],
    "media": ["https://a.example/b.png"],
    "preferred": NUMBERS,
    "one_way": [True],
}
CHANGES: list[dict[str, Any]] = [{}, *({name: each} for name, them in OTHERS.items() for each in them)]
events = st.one_of(
    st.tuples(st.just("pool"), st.lists(st.sampled_from(SENDERS), unique_by=lambda each: each.sid)),
    st.tuples(st.just("cordon"), st.lists(st.sampled_from(SENDERS), max_size=2)),
    st.tuples(st.just("pending"), st.lists(st.sampled_from(SENDERS[:5]), max_size=2)),
    st.tuples(st.just("time"), st.sampled_from([0.3, 1.0, 61.0, 86_400.0])),
)


@given(
    st.sampled_from(CHANGES),
    st.lists(events, min_size=1, max_size=6),
    st.sampled_from(
        [
            RateLimits(),
            RateLimits(
                by_number={"12345": SenderLimit(per_day=99), "+14155550100": SenderLimit(per_second=1)}
            ),
        ]
    ),
)
def test_a_cached_reply_equals_a_new_one_whatever_has_changed_between(
    like: dict[str, Any], course: list[tuple[str, Any]], limits: RateLimits
) -> None:
    fixture = ComposerFixture(Pool(MG, 1, SENDERS), limits)
    for what, of in course:
        for change in CHANGES:
            incoming, reply, rule, facts = compose_arguments(**(QUESTION | like | change))
            draft = fixture.composer.compose_draft(incoming, reply, rule, facts)
            assert draft == fixture.with_empty_caches().compose_draft(incoming, reply, rule, facts)
            fixture.composer.compose(incoming, reply, rule, facts)
        fixture.change(what, of)


def compose_arguments(
    rule: str, facts: RecipientFacts, text: str, media: str, preferred: str | None, one_way: bool, **of: str
) -> tuple[InboundMessage, Reply, str, RecipientFacts]:
    incoming = message(sender=of["sender"], recipient=of["recipient"], FromCountry=of["country"])
    return incoming, Reply(text, media, preferred, one_way=one_way), rule, facts
