"""Which number answers, told as stories of the United States, Canada and the United Kingdom."""

import pytest

from sms_router.senders.conditions import SenderConditions
from sms_router.senders.models import Sender
from sms_router.senders.request import NO_FACTS, RecipientFacts, ReplyFrom, SelectionRequest
from sms_router.senders.selection import explain, select
from tests.senders.worlds import BOTH, MMS, NONE, SMS, pool, request, sender

US_CODE = sender("12345")
US_CODE_TEXT_ONLY = sender("12345", can=SMS)
CA_CODE = sender("12345", "CA")
GB_CODE = sender("65000", "GB", can=SMS)
SAN_FRANCISCO = sender("+14155550001")
NEW_YORK = sender("+12125550003")
OTTAWA = sender("+16135550005", "CA")
LONDON = sender("+447400000007", "GB", can=SMS)
PARIS = sender("+33600000009", "FR", can=SMS)
US_TOLL_FREE = sender("+18885550010")
NAME = sender("ACME", None, can=SMS)

AMERICAN = request()
CANADIAN = request("+16135550123", "CA")
BRITON = request("+447400123456", "GB", texted="+447400000007")
SAME = ReplyFrom.SAME_NUMBER


@pytest.mark.parametrize(
    ("senders", "asked", "expected", "line"),
    [
        pytest.param(
            [SAN_FRANCISCO, US_CODE],
            AMERICAN,
            US_CODE,
            "12345: taken: short code of US, the person's country",
            id="the short code comes first",
        ),
        pytest.param(
            [SAN_FRANCISCO, US_CODE],
            request(texted="+14155550001"),
            US_CODE,
            "12345: taken: short code of US, the person's country",
            id="the short code comes first also when a long code was texted",
        ),
        pytest.param(
            [US_CODE, OTTAWA],
            CANADIAN,
            OTTAWA,
            "12345: passed over: a short code of US does not reach CA",
            id="a United States short code does not reach Canada",
        ),
        pytest.param(
            [US_CODE, CA_CODE],
            CANADIAN,
            CA_CODE,
            "12345: taken: short code of CA, the person's country",
            id="the same digits in two countries are two short codes",
        ),
        pytest.param(
            [OTTAWA, US_TOLL_FREE],
            CANADIAN,
            US_TOLL_FREE,
            "+18885550010: taken: toll-free number of US, none of CA is left; in Canada before long codes",
            id="in Canada toll-free comes before long codes",
        ),
        pytest.param(
            [US_TOLL_FREE, NEW_YORK],
            AMERICAN,
            NEW_YORK,
            "+12125550003: taken: long code of US, the person's country",
            id="elsewhere long codes come before toll-free",
        ),
        pytest.param(
            [US_CODE_TEXT_ONLY, SAN_FRANCISCO],
            request(needs=MMS),
            SAN_FRANCISCO,
            "12345: passed over: it cannot send MMS",
            id="pictures leave from a number that can send them",
        ),
        pytest.param(
            [NEW_YORK, SAN_FRANCISCO],
            AMERICAN,
            SAN_FRANCISCO,
            "+14155550001: taken: long code of US, the person's country and area (415)",
            id="the person's area code is nearer",
        ),
        pytest.param(
            [NEW_YORK, SAN_FRANCISCO],
            request("+16285551234"),
            SAN_FRANCISCO,
            "+14155550001: taken: long code of US, the person's country and area (628)",
            id="an area code that is overlaid on a number's own is as near",
        ),
        pytest.param(
            [sender("67890"), US_CODE, sender("55555")],
            AMERICAN,
            US_CODE,
            "12345: taken: short code of US, the person's country, the number that was texted",
            id="among equals the number that was texted answers",
        ),
        pytest.param(
            [NEW_YORK, PARIS, LONDON],
            BRITON,
            LONDON,
            "+447400000007: taken: long code of GB, the person's country",
            id="a Briton is answered from a British number",
        ),
        pytest.param(
            [NEW_YORK, PARIS],
            BRITON,
            NEW_YORK,
            "+12125550003: taken: long code of US, none of GB is left",
            id="else from a number of the United States",
        ),
        pytest.param(
            [PARIS],
            BRITON,
            PARIS,
            "+33600000009: taken: long code of another country, none of GB is left",
            id="else from any",
        ),
        pytest.param(
            [GB_CODE, NAME, LONDON],
            request("+447400123456", "GB", one_way=True),
            GB_CODE,
            "65000: taken: short code of GB, the person's country",
            id="a short code comes before a name",
        ),
        pytest.param(
            [NAME, LONDON],
            request("+447400123456", "GB", one_way=True),
            NAME,
            "ACME: taken: alphanumeric sender, and no answer is expected",
            id="a one-way reply may leave from a name",
        ),
        pytest.param(
            [NAME, LONDON],
            BRITON,
            LONDON,
            "ACME: passed over: nobody can answer a name, and the reply is not marked one-way",
            id="a reply that may be answered does not leave from a name",
        ),
        pytest.param(
            [NAME, NEW_YORK],
            request(one_way=True),
            NEW_YORK,
            "ACME: passed over: carriers of US take no alphanumeric sender",
            id="a name does not reach the United States",
        ),
        pytest.param(
            [sender("12345", live=False), NEW_YORK],
            AMERICAN,
            NEW_YORK,
            "12345: passed over: not live: a port or a lease is pending",
            id="a short code that is not live yet waits",
        ),
        pytest.param(
            [sender("12345", can=NONE), NEW_YORK],
            AMERICAN,
            NEW_YORK,
            "12345: passed over: it cannot send SMS",
            id="a number that cannot text is no sender",
        ),
        pytest.param(
            [sender("12345", can=NONE), NEW_YORK],
            request(needs=BOTH),
            NEW_YORK,
            "12345: passed over: it cannot send SMS or MMS",
            id="all that is missing is named",
        ),
        pytest.param(
            [US_CODE, SAN_FRANCISCO],
            request(wish="+14155550001"),
            SAN_FRANCISCO,
            "+14155550001: taken: the handler asked for it",
            id="a handler's wish is granted",
        ),
        pytest.param(
            [US_CODE, SAN_FRANCISCO],
            request(wish="+12125550003"),
            US_CODE,
            "+12125550003: passed over: the handler asked for it, but it is not a sender of the Service",
            id="a wish outside the Service is passed over",
        ),
        pytest.param(
            [US_CODE, OTTAWA],
            request("+16135550123", "CA", wish="12345"),
            OTTAWA,
            "12345: passed over: a short code of US does not reach CA",
            id="a wish that does not reach the person is passed over",
        ),
        pytest.param(
            [US_CODE, NEW_YORK],
            request(texted="+12125550003", policy=SAME),
            NEW_YORK,
            "+12125550003: taken: the number that was texted, by the policy same-number",
            id="the policy same-number answers from where the text went",
        ),
        pytest.param(
            [US_CODE, US_TOLL_FREE, sender("+12125550003", can=SMS)],
            request(texted="+12125550003", policy=SAME, needs=MMS),
            US_CODE,
            "+12125550003: passed over: it cannot send MMS",
            id="the policy same-number gives way when that number cannot",
        ),
        pytest.param(
            [US_CODE, OTTAWA],
            request("+19995550100", None),
            US_CODE,
            "12345: taken: short code of US, the person's country",
            id="whoever texts a short code is in its country",
        ),
        pytest.param(
            [US_CODE, PARIS],
            request("+9991234567", None, texted="+33600000009"),
            PARIS,
            "12345: passed over: a short code of US, and this person's country is not known",
            id="no short code goes to an unknown country",
        ),
    ],
)
def test_the_right_number_answers(
    senders: list[Sender], asked: SelectionRequest, expected: Sender, line: str
) -> None:
    decision = select(pool(*senders), asked)
    assert decision.sender == expected
    assert decision.address == expected.address
    assert line in map(str, decision.trail)
    assert decision.trail[-1].taken


@pytest.mark.parametrize(
    ("known", "expected", "line"),
    [
        (
            RecipientFacts(unreachable=frozenset({"12345"})),
            SAN_FRANCISCO,
            "12345: passed over: believed not to reach this person",
        ),
        (
            RecipientFacts(unreachable=frozenset({"12345"}), last_sender="+12125550003"),
            NEW_YORK,
            "+12125550003: taken: long code that this person last heard from",
        ),
        (
            RecipientFacts(last_sender="+12125550003"),
            US_CODE,
            "12345: taken: short code of US, the person's country",
        ),
        (
            RecipientFacts(unreachable=frozenset({"12345", "+14155550001"})),
            NEW_YORK,
            "+14155550001: passed over: believed not to reach this person",
        ),
    ],
)
def test_what_was_learned_counts(known: RecipientFacts, expected: Sender, line: str) -> None:
    decision = select(pool(US_CODE, SAN_FRANCISCO, NEW_YORK), AMERICAN, known)
    assert decision.sender == expected
    assert line in map(str, decision.trail)


CORDONED = "cordoned until 14:05 UTC: carrier incident"
SLOW = "over its rate: 1 a second"
FULL = "has sent its 2000 of today"


@pytest.mark.parametrize(
    ("now", "expected", "line"),
    [
        (
            SenderConditions(cordoned={US_CODE.sid: CORDONED}),
            SAN_FRANCISCO,
            f"12345: passed over: {CORDONED}",
        ),
        (SenderConditions(over_rate={US_CODE.sid: SLOW}), SAN_FRANCISCO, f"12345: passed over: {SLOW}"),
        (
            SenderConditions(cordoned={US_CODE.sid: CORDONED}, capped={SAN_FRANCISCO.sid: FULL}),
            NEW_YORK,
            f"+14155550001: passed over: {FULL}",
        ),
        (
            SenderConditions(cordoned={CA_CODE.sid: CORDONED}),
            US_CODE,
            "12345: taken: short code of US, the person's country",
        ),
        (
            SenderConditions(
                cordoned={US_CODE.sid: CORDONED, NEW_YORK.sid: CORDONED}, over_rate={SAN_FRANCISCO.sid: SLOW}
            ),
            SAN_FRANCISCO,
            "+14155550001: taken: long code of US, the person's country and area (415);"
            " over its rate, like every other that could answer: Twilio queues it",
        ),
    ],
)
@pytest.mark.parametrize("known", [NO_FACTS, RecipientFacts()])
def test_operators_and_limits_count(
    now: SenderConditions, expected: Sender, line: str, known: RecipientFacts
) -> None:
    held = pool(US_CODE, sender("67890", "CA"), SAN_FRANCISCO, NEW_YORK)
    for _ in range(2):
        decision = select(held, AMERICAN, known, now)
        assert decision.sender == expected
    assert line in map(str, explain(held, AMERICAN, known, now).trail) or line == str(decision.trail[-1])


def test_the_least_recently_used_of_equals_answers_but_not_in_place_of_the_last_heard() -> None:
    equals = (sender("+12125550001"), sender("+13125550002"))
    held, asked = pool(*equals), request(texted="+19995550000")
    by_hash = select(held, asked).sender
    assert by_hash is not None
    (other,) = {*equals} - {by_hash}
    assert select(held, asked, NO_FACTS, SenderConditions(used={other.sid: 5.0})).sender == by_hash
    busy = SenderConditions(used={by_hash.sid: 6.0, other.sid: 5.0})
    decision = select(held, asked, NO_FACTS, busy)
    assert decision.sender == other
    assert decision.trail[-1].reason.endswith(", the least recently used")
    assert select(held, asked, RecipientFacts(last_sender=by_hash.address), busy).sender == by_hash
    tie = SenderConditions(used={by_hash.sid: 5.0, other.sid: 5.0})
    assert select(held, asked, NO_FACTS, tie).sender == by_hash


def test_a_cordoned_number_does_not_answer_even_where_nothing_else_is_known() -> None:
    now = SenderConditions(cordoned={"12345": CORDONED})
    for held in (None, pool()):
        decision = select(held, request(), NO_FACTS, now)
        assert decision.address is None
        assert str(decision.trail[-1]) == f"12345: passed over: {CORDONED}"


def test_nobody_who_opted_out_is_written_to() -> None:
    decision = explain(pool(US_CODE, NEW_YORK), AMERICAN, RecipientFacts(opted_out=True))
    assert (decision.sender, decision.address) == (None, None)
    assert {line.reason for line in decision.trail} == {"this person has opted out"}


@pytest.mark.parametrize(
    ("senders", "asked", "why"),
    [
        (None, AMERICAN, "the number that was texted, since nothing is known about the Service"),
        ([], AMERICAN, "the number that was texted, since no sender of the Service is left"),
        (
            [US_CODE],
            request("+447400123456", "GB", texted="+447400000099"),
            "the number that was texted, since no sender of the Service is left",
        ),
        (
            [US_CODE],
            request(texted="+12125550003", policy=SAME),
            "the number that was texted, by the policy same-number; the Service does not hold it",
        ),
    ],
)
def test_a_number_of_which_nothing_is_known_answers_at_last(
    senders: list[Sender] | None, asked: SelectionRequest, why: str
) -> None:
    decision = select(None if senders is None else pool(*senders), asked)
    assert (decision.sender, decision.address) == (None, asked.texted)
    assert str(decision.trail[-1]) == f"{asked.texted}: taken: {why}"


def test_nothing_is_sent_from_a_number_that_is_known_to_be_unable() -> None:
    decision = select(pool(US_CODE), CANADIAN)
    assert (decision.sender, decision.address) == (None, None)
    assert [str(line) for line in decision.trail] == [
        "12345: passed over: a short code of US does not reach CA"
    ]


def test_an_unknown_number_that_does_not_reach_the_person_is_not_tried() -> None:
    decision = select(None, request(wish="ACME"), RecipientFacts(unreachable=frozenset({"12345"})))
    assert decision.address is None
    assert [str(line) for line in decision.trail] == [
        "ACME: passed over: the handler asked for it, but nothing is known about the Service",
        "12345: passed over: believed not to reach this person",
    ]


def test_the_full_trail_says_who_was_not_needed() -> None:
    decision = explain(pool(NEW_YORK, US_CODE, CA_CODE, NAME), request(texted="+12125550003"))
    assert [str(line) for line in decision.trail] == [
        "12345: passed over: a short code of CA does not reach US",
        "12345: taken: short code of US, the person's country",
        "ACME: passed over: carriers of US take no alphanumeric sender",
        "+12125550003: not needed: 12345 was taken before it",
    ]
