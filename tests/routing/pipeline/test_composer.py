"""From a reply to TwiML and the journal's detail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring

from sms_router import Part, Reply
from sms_router.routing.handler.reply import SILENCE, RedirectedPart
from sms_router.routing.pipeline.composer import Composer
from sms_router.senders.availability import Availability
from sms_router.senders.cordons import Cordons
from sms_router.senders.models import NO_FACTS, Capability, RecipientFacts, ReplyFrom, Sender, SenderKind
from sms_router.senders.pending import PendingNumber, PendingNumbers
from sms_router.senders.pool import Pool, find_pool
from sms_router.senders.rate_limits import RateLimiter, RateLimits, SenderLimit
from sms_router.twilio.twiml import EMPTY
from tests.routing.messages import message

MG = "MG" + "0a" * 16
SHORT_CODE = Sender("SC" + "0a" * 16, "12345", SenderKind.SHORT_CODE, "US", Capability.SMS | Capability.MMS)
LONG_CODE = Sender("PN" + "0a" * 16, "+14155550100", SenderKind.LONG_CODE, "US", Capability.SMS)
BOTH = (SHORT_CODE, LONG_CODE)
PICTURE = "https://a.example/b.png"


def composer(
    senders: tuple[Sender, ...] | None = BOTH, policy: ReplyFrom = ReplyFrom.SHORT_CODE_FIRST
) -> Composer:
    pool = None if senders is None else Pool(MG, 1, senders)
    return Composer(lambda service, texted, _: pool, {None: policy}, "https://sms.example.com")


def messages(document: bytes) -> list[dict[str, Any]]:
    return [
        {
            "from": each.get("from"),
            "to": each.get("to"),
            "receipts": {each.get("statusCallback"), each.get("action")},
            "media": [media.text for media in each.findall("Media")],
            "text": (each.findtext("Body") or each.text or "").strip(),
        }
        for each in fromstring(document).findall("Message")
    ]


def test_the_answer_leaves_from_the_short_code_and_its_receipts_come_back_with_the_replys_id() -> None:
    incoming = message(recipient="+14155550100")
    (sent,) = messages(composer().compose(incoming, Reply("9 to 5"), "HOURS").document)
    assert sent["from"] == "12345"
    assert sent["text"] == "9 to 5"
    assert sent["receipts"] == {f"https://sms.example.com/sms/status?reply={incoming.sid}.0"}


def test_the_policy_of_the_service_applies() -> None:
    incoming = message(recipient="+14155550100")
    (sent,) = messages(composer(policy=ReplyFrom.SAME_NUMBER).compose(incoming, Reply("a"), "A").document)
    assert sent["from"] == "+14155550100"


def test_the_policy_is_that_of_the_pools_service() -> None:
    policies = {MG: ReplyFrom.SAME_NUMBER, None: ReplyFrom.SHORT_CODE_FIRST}
    for service, number in ((MG, "+14155550100"), ("MG" + "0b" * 16, "12345")):
        pool = Pool(service, 1, BOTH)
        incoming = message(recipient="+14155550100")
        composed = Composer(
            lambda *of, pool=pool: find_pool({pool.service_sid: pool}, *of[:2]), policies, ""
        ).compose(incoming, Reply("a"), "A")
        assert [sent["from"] for sent in messages(composed.document)] == [number]


def test_the_sender_that_a_handler_prefers_is_used() -> None:
    (sent,) = messages(composer().compose(message(), Reply("a", sender="+14155550100"), "A").document)
    assert sent["from"] == "+14155550100"


def test_several_texts_leave_one_by_one_and_media_with_the_first() -> None:
    sent = messages(composer().compose(message(), Reply(["one", "two"], media=PICTURE), "A").document)
    assert [(each["text"], each["media"]) for each in sent] == [("one", [PICTURE]), ("two", [])]
    assert len({tuple(each["receipts"]) for each in sent}) == 2


def test_media_need_no_text_but_a_sender_that_carries_them() -> None:
    incoming = message(recipient="+14155550100")
    composed = composer(policy=ReplyFrom.SAME_NUMBER).compose(incoming, Reply(media=[PICTURE]), "A")
    (sent,) = messages(composed.document)
    assert (sent["from"], sent["text"], sent["media"]) == ("12345", "", [PICTURE])


def test_without_a_pool_it_leaves_from_the_number_that_was_texted() -> None:
    (sent,) = messages(composer(None).compose(message(), Reply("a"), "A").document)
    assert sent["from"] == "12345"


@pytest.mark.parametrize("reply", [SILENCE, Reply(""), Reply([]), Reply(["", ""]), Reply(media=[""])])
def test_silence_is_the_empty_answer(reply: Reply) -> None:
    composed = composer().compose(message(), reply, "A")
    assert composed.document is EMPTY
    assert composed.trail_text == "A"


def test_the_trail_text_is_a_line_with_the_rule_and_then_the_trail() -> None:
    trail = composer().compose(message(), Reply("9 to 5", media=[PICTURE]), "HOURS").trail_text
    assert trail.startswith("HOURS\n12345: chosen: ")


def test_the_same_reply_to_another_message_has_receipts_of_its_own() -> None:
    one, other = message(), replace(message(), sid="SM" + "0b" * 16)
    shared = composer()
    documents = [shared.compose(incoming, Reply("9 to 5"), "HOURS").document for incoming in (one, other)]
    receipts = [messages(document)[0]["receipts"] for document in documents]
    assert [one.sid in str(receipts[0]), other.sid in str(receipts[1])] == [True, True]
    assert receipts[0] != receipts[1]


def test_an_answer_that_selects_no_sender() -> None:
    (sent,) = messages(composer().render_plain(Reply("Sorry.")))
    assert (sent["from"], sent["text"], sent["receipts"]) == (None, "Sorry.", {None})


def test_where_no_number_can_send_pictures_their_addresses_are_in_the_text() -> None:
    incoming = message(recipient="+14155550100")
    composed = composer((LONG_CODE,)).compose(incoming, Reply(["look", "more"], media=[PICTURE]), "MENU")
    sent = messages(composed.document)
    assert [each["text"] for each in sent] == [f"look\n{PICTURE}", "more"]
    assert [each["media"] for each in sent] == [[], []]
    assert "no sender can send MMS" in composed.trail_text


def test_a_reply_that_no_number_can_carry_is_marked_unsendable() -> None:
    incoming = message(sender="+16475550123", recipient="12345")
    composed = composer((SHORT_CODE,)).compose(incoming, Reply("9 to 5"), "HOURS")
    assert composed.unsendable
    assert composed.document == EMPTY
    assert not composer((SHORT_CODE,)).compose(incoming, SILENCE, "HOURS").unsendable


def test_every_message_that_leaves_is_counted_with_its_segments_and_silence_is_not() -> None:
    def now() -> float:
        return 1_767_960_000.0

    rates = RateLimiter(RateLimits(by_number={"12345": SenderLimit(per_day=10)}), now)
    pool = Pool(MG, 1, BOTH)
    counting = Composer(
        lambda *_: pool, {None: ReplyFrom.SHORT_CODE_FIRST}, "", Availability(Cordons(now), rates)
    )
    counting.compose(message(), SILENCE, "A")
    counting.compose(message(), Reply("x"), "A", RecipientFacts(opted_out=True))
    assert not rates.has_unreported
    counting.compose(message(), Reply(["x" * 161, "y"]), "A")
    counting.compose(message(), Reply(media=[PICTURE]), "A")
    assert rates.sent_today(SHORT_CODE.sid) == 4
    counting.compose(message(), Reply(parts=(Part("x" * 161), Part("", [PICTURE]), Part("y"))), "A")
    assert rates.sent_today(SHORT_CODE.sid) == 8
    counting.compose(message(), Reply(["x" * 161]), "A")
    trail = counting.compose(message(), Reply("z"), "A").trail_text
    assert "12345: skipped: at its daily cap: 10 segments" in trail
    assert "+14155550100: chosen" in trail


def test_each_part_has_its_own_media_and_sender_and_receipts() -> None:
    parts = [Part("one"), Part("two", PICTURE), Part("three", sender="+14155550100"), Part()]
    incoming = message()
    composed = composer().compose(incoming, Reply(parts=parts), "A")
    sent = messages(composed.document)
    assert [(each["from"], each["text"], each["media"]) for each in sent] == [
        ("12345", "one", []),
        ("12345", "two", [PICTURE]),
        ("+14155550100", "three", []),
    ]
    receipts = f"https://sms.example.com/sms/status?reply={incoming.sid}"
    assert [each["receipts"] - {None} for each in sent] == [{f"{receipts}.{number}"} for number in range(3)]
    assert composed.trail_text.count("12345: chosen") == 1, "one choice for those that are alike"


def test_a_part_whose_preferred_sender_cannot_be_used_leaves_from_another_number() -> None:
    (sent,) = messages(composer().compose(message(), Reply(parts=[Part("a", sender="99999")]), "A").document)
    assert sent["from"] == "12345"


def test_a_part_for_another_contact_leaves_from_a_number_that_reaches_them() -> None:
    known = RecipientFacts(unreachable=frozenset({"12345"}))
    parts = [Part("one"), RedirectedPart("two", to="+13105550123", facts=known)]
    sent = messages(composer().compose(message(), Reply(parts=parts), "A").document)
    assert [(each["from"], each["to"]) for each in sent] == [
        ("12345", None),
        ("+14155550100", "+13105550123"),
    ]


def test_a_part_for_a_contact_who_opted_out_is_not_rendered() -> None:
    gone = RedirectedPart("two", to="+13105550123", facts=RecipientFacts(opted_out=True))
    assert len(messages(composer().compose(message(), Reply(parts=[Part("one"), gone]), "A").document)) == 1
    nobody = composer().compose(message(), Reply(parts=[Part("one")]), "A", RecipientFacts(opted_out=True))
    assert (nobody.document, nobody.unsendable) == (EMPTY, False)


def test_pictures_of_parts_that_no_number_can_send_are_in_their_texts() -> None:
    incoming = message(recipient="+14155550100")
    composed = composer((LONG_CODE,)).compose(incoming, Reply(parts=[Part("a", PICTURE), Part("b")]), "A")
    sent = messages(composed.document)
    assert [(each["text"], each["media"]) for each in sent] == [(f"a\n{PICTURE}", []), ("b", [])]
    assert "no sender can send MMS" in composed.trail_text


def test_parts_that_no_number_can_carry_are_marked_unsendable() -> None:
    incoming = message(sender="+16475550123")
    composed = composer((SHORT_CODE,)).compose(incoming, Reply(parts=[Part("a")]), "A")
    assert composed.unsendable
    assert not composer((SHORT_CODE,)).compose(incoming, Reply(parts=[Part()]), "A").unsendable


@pytest.mark.parametrize("reply", [Reply("a"), Reply(), Reply(parts=[Part("a")]), Reply(media=PICTURE)])
def test_remarks_stand_between_the_rule_and_the_trail(reply: Reply) -> None:
    trail = composer().compose(message(), replace(reply, notes=["one", "two"]), "HOURS").trail_text
    assert trail.splitlines()[:3] == ["HOURS", "one", "two"]
    assert trail.count("one") == 1


def test_a_pending_number_replies_only_to_contacts_who_texted_it() -> None:
    pending = PendingNumbers(lambda: {MG: Pool(MG, 1, BOTH)}, lambda: 0.0)
    pending.install([PendingNumber("12345", "US", "moving, carrier by carrier")])
    availability = Availability(Cordons(lambda: 0.0), RateLimiter(RateLimits(), lambda: 0.0), pending)
    moving = Composer(
        lambda *_: Pool(MG, 1, BOTH), {None: ReplyFrom.SHORT_CODE_FIRST}, "https://a.example", availability
    )
    parts = (Part("you"), RedirectedPart("them", to="+13105550123", facts=NO_FACTS))
    incoming = message(recipient="12345")
    sent = messages(moving.compose(incoming, Reply(parts=parts), "MOVED").document)
    assert [(each["to"], each["from"]) for each in sent] == [
        (None, "12345"),
        ("+13105550123", "+14155550100"),
    ]
