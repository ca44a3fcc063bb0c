"""Which sender is chosen: examples of the United States, Canada and the United Kingdom."""

import pytest

from sms_router.senders.models import (
    NO_CONDITIONS,
    NO_FACTS,
    Decision,
    RecipientFacts,
    ReplyFrom,
    SelectionRequest,
    Sender,
    SenderConditions,
    SenderKind,
)
from sms_router.senders.selection import explain, is_still_valid, select
from tests.senders.builders import BOTH, MMS, NONE, SMS, pool, request, sender

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
    ("senders", "reply", "expected", "line"),
    [
        pytest.param(
            [SAN_FRANCISCO, US_CODE],
            AMERICAN,
            US_CODE,
            "12345: chosen: short code of US, the contact's country",
            id="the short code comes first",
        ),
        pytest.param(
            [SAN_FRANCISCO, US_CODE],
            request(texted="+14155550001"),
            US_CODE,
            "12345: chosen: short code of US, the contact's country",
            id="the short code comes first also when a long code was texted",
        ),
        pytest.param(
            [US_CODE, OTTAWA],
            CANADIAN,
            OTTAWA,
            "12345: skipped: a short code of US does not reach CA",
            id="a United States short code does not reach Canada",
        ),
        pytest.param(
            [US_CODE, CA_CODE],
            CANADIAN,
            CA_CODE,
            "12345: chosen: short code of CA, the contact's country",
            id="the same digits in two countries are two short codes",
        ),
        pytest.param(
            [OTTAWA, US_TOLL_FREE],
            CANADIAN,
            US_TOLL_FREE,
            "+18885550010: chosen: toll-free number of US, none of CA is available;"
            " in Canada before long codes",
            id="in Canada toll-free comes before long codes",
        ),
        pytest.param(
            [US_TOLL_FREE, NEW_YORK],
            AMERICAN,
            NEW_YORK,
            "+12125550003: chosen: long code of US, the contact's country",
            id="elsewhere long codes come before toll-free",
        ),
        pytest.param(
            [US_CODE_TEXT_ONLY, SAN_FRANCISCO],
            request(needs=MMS),
            SAN_FRANCISCO,
            "12345: skipped: cannot send MMS",
            id="media leave from a number that can send MMS",
        ),
        pytest.param(
            [NEW_YORK, SAN_FRANCISCO],
            AMERICAN,
            SAN_FRANCISCO,
            "+14155550001: chosen: long code of US, the contact's country, Area Code Geomatch 415",
            id="a sender of the contact's area code comes first",
        ),
        pytest.param(
            [NEW_YORK, SAN_FRANCISCO],
            request("+16285551234"),
            SAN_FRANCISCO,
            "+14155550001: chosen: long code of US, the contact's country, Area Code Geomatch 628",
            id="an overlay of a sender's area code counts as that area code",
        ),
        pytest.param(
            [sender("67890"), US_CODE, sender("55555")],
            AMERICAN,
            US_CODE,
            "12345: chosen: short code of US, the contact's country, the texted number",
            id="among equal senders the texted number is chosen",
        ),
        pytest.param(
            [NEW_YORK, PARIS, LONDON],
            BRITON,
            LONDON,
            "+447400000007: chosen: long code of GB, the contact's country",
            id="a British contact gets a British number",
        ),
        pytest.param(
            [NEW_YORK, PARIS],
            BRITON,
            NEW_YORK,
            "+12125550003: chosen: long code of US, none of GB is available",
            id="without one, a number of the United States",
        ),
        pytest.param(
            [PARIS],
            BRITON,
            PARIS,
            "+33600000009: chosen: long code of another country, none of GB is available",
            id="without that, a number of any country",
        ),
        pytest.param(
            [GB_CODE, NAME, LONDON],
            request("+447400123456", "GB", one_way=True),
            GB_CODE,
            "65000: chosen: short code of GB, the contact's country",
            id="a short code comes before an alphanumeric sender",
        ),
        pytest.param(
            [NAME, LONDON],
            request("+447400123456", "GB", one_way=True),
            NAME,
            "ACME: chosen: alphanumeric sender, for a one-way reply",
            id="a one-way reply may leave from an alphanumeric sender",
        ),
        pytest.param(
            [NAME, LONDON],
            BRITON,
            LONDON,
            "ACME: skipped: a contact cannot reply to an alphanumeric sender, and this reply is not one-way",
            id="a two-way reply does not leave from an alphanumeric sender",
        ),
        pytest.param(
            [NAME, NEW_YORK],
            request(one_way=True),
            NEW_YORK,
            "ACME: skipped: carriers in US do not support alphanumeric senders",
            id="an alphanumeric sender does not reach the United States",
        ),
        pytest.param(
            [sender("12345", live=False), NEW_YORK],
            AMERICAN,
            NEW_YORK,
            "12345: skipped: not live: a port or a lease is pending",
            id="a short code that is not live is skipped",
        ),
        pytest.param(
            [sender("12345", can=NONE), NEW_YORK],
            AMERICAN,
            NEW_YORK,
            "12345: skipped: cannot send SMS",
            id="a number without SMS is skipped",
        ),
        pytest.param(
            [sender("12345", can=NONE), NEW_YORK],
            request(needs=BOTH),
            NEW_YORK,
            "12345: skipped: cannot send SMS or MMS",
            id="the reason names all missing capabilities",
        ),
        pytest.param(
            [US_CODE, SAN_FRANCISCO],
            request(preferred="+14155550001"),
            SAN_FRANCISCO,
            "+14155550001: chosen: the reply names it as its sender",
            id="the sender that the reply names is chosen",
        ),
        pytest.param(
            [US_CODE, SAN_FRANCISCO],
            request(texted="+14155550001", preferred="+14155550001"),
            SAN_FRANCISCO,
            "+14155550001: chosen: the texted number, which the reply names",
            id="an opt-out reply leaves from the texted number",
        ),
        pytest.param(
            [US_CODE, SAN_FRANCISCO],
            request(preferred="+12125550003"),
            US_CODE,
            "+12125550003: skipped: the reply names it as its sender, but it is not in the Sender Pool",
            id="a requested sender outside the Sender Pool is skipped",
        ),
        pytest.param(
            [US_CODE, OTTAWA],
            request("+16135550123", "CA", preferred="12345"),
            OTTAWA,
            "12345: skipped: a short code of US does not reach CA",
            id="a requested sender that does not reach the contact is skipped",
        ),
        pytest.param(
            [US_CODE, NEW_YORK],
            request(texted="+12125550003", policy=SAME),
            NEW_YORK,
            "+12125550003: chosen: the texted number, by the policy same-number",
            id="the policy same-number chooses the texted number",
        ),
        pytest.param(
            [US_CODE, US_TOLL_FREE, sender("+12125550003", can=SMS)],
            request(texted="+12125550003", policy=SAME, needs=MMS),
            US_CODE,
            "+12125550003: skipped: cannot send MMS",
            id="the policy same-number skips a number that cannot send the reply",
        ),
        pytest.param(
            [US_CODE, OTTAWA],
            request("+19995550100", None),
            US_CODE,
            "12345: chosen: short code of US, the country of the texted short code, because the contact's is"
            " unknown",
            id="a contact who texts a short code is taken to be in its country",
        ),
        pytest.param(
            [US_CODE, PARIS],
            request("+9991234567", None, texted="+33600000009"),
            PARIS,
            "12345: skipped: a short code of US, and the contact's country is unknown",
            id="no short code is used for an unknown country",
        ),
    ],
)
def test_the_sender_is_chosen_in_twilios_order(
    senders: list[Sender], reply: SelectionRequest, expected: Sender, line: str
) -> None:
    decision = select(pool(*senders), reply)
    assert decision.sender == expected
    assert decision.address == expected.address
    assert line in map(str, decision.trail)
    assert decision.trail[-1].is_chosen


@pytest.mark.parametrize(
    ("facts", "expected", "line"),
    [
        (
            RecipientFacts(unreachable=frozenset({"12345"})),
            SAN_FRANCISCO,
            "12345: skipped: earlier messages from it did not reach this contact",
        ),
        (
            RecipientFacts(unreachable=frozenset({"12345"}), last_sender="+12125550003"),
            NEW_YORK,
            "+12125550003: chosen: long code, Sticky Sender of this contact",
        ),
        (
            RecipientFacts(last_sender="+12125550003"),
            US_CODE,
            "12345: chosen: short code of US, the contact's country",
        ),
        (
            RecipientFacts(unreachable=frozenset({"12345", "+14155550001"})),
            NEW_YORK,
            "+14155550001: skipped: earlier messages from it did not reach this contact",
        ),
    ],
)
def test_facts_of_the_contact_count(facts: RecipientFacts, expected: Sender, line: str) -> None:
    decision = select(pool(US_CODE, SAN_FRANCISCO, NEW_YORK), AMERICAN, facts)
    assert decision.sender == expected
    assert line in map(str, decision.trail)


ONE_WAY_ONLY = "a contact cannot reply to an alphanumeric sender, and this reply is not one-way"
CORDONED = "cordoned until 14:05 UTC: carrier incident"
SLOW = "over its rate: 1 MPS"
FULL = "at its daily cap: 2000 segments"


@pytest.mark.parametrize(
    ("conditions", "expected", "line"),
    [
        (
            SenderConditions(cordoned={US_CODE.sid: CORDONED}),
            SAN_FRANCISCO,
            f"12345: skipped: {CORDONED}",
        ),
        (SenderConditions(over_rate={US_CODE.sid: SLOW}), SAN_FRANCISCO, f"12345: skipped: {SLOW}"),
        (
            SenderConditions(cordoned={US_CODE.sid: CORDONED}, capped={SAN_FRANCISCO.sid: FULL}),
            NEW_YORK,
            f"+14155550001: skipped: {FULL}",
        ),
        (
            SenderConditions(cordoned={CA_CODE.sid: CORDONED}),
            US_CODE,
            "12345: chosen: short code of US, the contact's country",
        ),
        (
            SenderConditions(
                cordoned={US_CODE.sid: CORDONED, NEW_YORK.sid: CORDONED}, over_rate={SAN_FRANCISCO.sid: SLOW}
            ),
            SAN_FRANCISCO,
            "+14155550001: chosen: long code of US, the contact's country, Area Code Geomatch 415;"
            " over its rate, like all other senders that could be used: Twilio queues the message",
        ),
    ],
)
@pytest.mark.parametrize("facts", [NO_FACTS, RecipientFacts()])
def test_cordons_and_limits_count(
    conditions: SenderConditions, expected: Sender, line: str, facts: RecipientFacts
) -> None:
    senders = pool(US_CODE, sender("67890", "CA"), SAN_FRANCISCO, NEW_YORK)
    assert select(senders, AMERICAN, facts, conditions).sender == expected
    assert line in map(str, explain(senders, AMERICAN, facts, conditions).trail)


def test_the_least_recently_used_of_equal_senders_is_chosen_but_a_sticky_sender_stays() -> None:
    equals = (sender("+12125550001"), sender("+13125550002"))
    senders, reply = pool(*equals), request(texted="+19995550000")
    by_hash = select(senders, reply).sender
    assert by_hash is not None
    (other,) = {*equals} - {by_hash}
    assert select(senders, reply, NO_FACTS, SenderConditions(used={other.sid: 5.0})).sender == by_hash
    busy = SenderConditions(used={by_hash.sid: 6.0, other.sid: 5.0})
    decision = select(senders, reply, NO_FACTS, busy)
    assert decision.sender == other
    assert decision.trail[-1].reason.endswith(", the least recently used")
    assert select(senders, reply, RecipientFacts(last_sender=by_hash.address), busy).sender == by_hash
    tie = SenderConditions(used={by_hash.sid: 5.0, other.sid: 5.0})
    assert select(senders, reply, NO_FACTS, tie).sender == by_hash


def test_a_cordoned_number_is_skipped_when_the_pool_is_unknown_or_empty() -> None:
    conditions = SenderConditions(cordoned={"12345": CORDONED})
    for senders in (None, pool()):
        decision = select(senders, request(), NO_FACTS, conditions)
        assert decision.address is None
        assert str(decision.trail[-1]) == f"12345: skipped: {CORDONED}"


def test_no_sender_is_chosen_for_a_contact_who_opted_out() -> None:
    decision = explain(pool(US_CODE, NEW_YORK), AMERICAN, RecipientFacts(opted_out=True))
    assert (decision.sender, decision.address) == (None, None)
    assert {line.reason for line in decision.trail} == {"the contact has opted out"}


@pytest.mark.parametrize(
    ("senders", "reply", "reason"),
    [
        (None, AMERICAN, "the texted number, because the Sender Pool is unknown"),
        ([], AMERICAN, "the texted number, because no sender of the Sender Pool can be used"),
        (
            [US_CODE],
            request("+447400123456", "GB", texted="+447400000099"),
            "the texted number, because no sender of the Sender Pool can be used",
        ),
        (
            [US_CODE],
            request(texted="+12125550003", policy=SAME),
            "the texted number, by the policy same-number; it is not in the Sender Pool",
        ),
    ],
)
def test_the_last_resort_is_the_texted_number_when_the_pool_does_not_hold_it(
    senders: list[Sender] | None, reply: SelectionRequest, reason: str
) -> None:
    decision = select(None if senders is None else pool(*senders), reply)
    assert (decision.sender, decision.address) == (None, reply.texted)
    assert str(decision.trail[-1]) == f"{reply.texted}: chosen: {reason}"


def test_no_sender_is_chosen_when_the_texted_number_cannot_send_the_reply() -> None:
    decision = select(pool(US_CODE), CANADIAN)
    assert (decision.sender, decision.address) == (None, None)
    assert [str(line) for line in decision.trail] == ["12345: skipped: a short code of US does not reach CA"]


def test_a_texted_number_that_does_not_reach_the_contact_is_skipped() -> None:
    decision = select(None, request(preferred="ACME"), RecipientFacts(unreachable=frozenset({"12345"})))
    assert decision.address is None
    assert [str(line) for line in decision.trail] == [
        "ACME: skipped: the reply names it as its sender, but the Sender Pool is unknown",
        "12345: skipped: earlier messages from it did not reach this contact",
    ]


def test_explain_lists_the_senders_that_were_not_needed() -> None:
    decision = explain(pool(NEW_YORK, US_CODE, CA_CODE, NAME), request(texted="+12125550003"))
    assert [str(line) for line in decision.trail] == [
        "12345: skipped: a short code of CA does not reach US",
        "12345: chosen: short code of US, the contact's country",
        "ACME: skipped: carriers in US do not support alphanumeric senders",
        "+12125550003: not needed: 12345 was chosen before it",
    ]


@pytest.mark.parametrize(
    ("conditions", "per_recipient", "address", "expected"),
    [
        (NO_CONDITIONS, True, "12345", True),
        (SenderConditions(used={"x": 1.0}), True, "12345", False),
        (SenderConditions(cordoned={SAN_FRANCISCO.sid: CORDONED}), False, "12345", True),
        (SenderConditions(cordoned={US_CODE.sid: CORDONED}), False, "12345", False),
        (SenderConditions(over_rate={US_CODE.sid: SLOW}), False, "12345", False),
        (SenderConditions(cordoned={"+19995550000": CORDONED}), False, "+19995550000", False),
        (SenderConditions(cordoned={US_CODE.sid: CORDONED}), False, "+19995550000", True),
        (SenderConditions(cordoned={US_CODE.sid: CORDONED}), False, None, True),
    ],
)
def test_a_decision_stays_valid_until_its_sender_has_a_condition(
    conditions: SenderConditions, per_recipient: bool, address: str | None, expected: bool
) -> None:
    chosen = US_CODE if address == "12345" else None
    assert is_still_valid(Decision(chosen, address, (), per_recipient), conditions) is expected


@pytest.mark.parametrize(
    ("country", "order"),
    [
        ("US", ["12345", "ACME", "+14155550001", "+16135550005", "+18885550010", "+18445550012"]),
        ("CA", ["12345", "ACME", "+18445550012", "+18885550010", "+16135550005", "+14155550001"]),
    ],
)
def test_explain_lists_what_was_not_examined_in_the_countrys_order(country: str, order: list[str]) -> None:
    toll_free, code = sender("+18445550012", "CA"), sender("12345", country)
    senders = pool(NAME, US_TOLL_FREE, toll_free, OTTAWA, SAN_FRANCISCO, code)
    contact = AMERICAN if country == "US" else CANADIAN
    trail = explain(senders, contact).trail
    assert [line.address for line in trail] == order
    assert [line.kind for line in trail if line.result.value == "not needed"] == [
        each.kind for address in order[2:] for each in senders.senders if each.address == address
    ]


def test_of_two_equal_senders_the_country_of_the_contact_decides() -> None:
    senders, reached = pool(US_CODE, CA_CODE), "12345: chosen: short code of US, the contact's country"
    assert select(senders, request(preferred="12345")).sender == US_CODE
    assert select(senders, request(texted="12345", policy=SAME)).sender == US_CODE
    sticky = select(pool(US_CODE, CA_CODE, sender("67890")), AMERICAN, RecipientFacts(last_sender="12345"))
    assert [str(line) for line in sticky.trail] == [
        "12345: skipped: a short code of CA does not reach US",
        "12345: chosen: short code, Sticky Sender of this contact",
    ]
    assert str(select(senders, AMERICAN).trail[-1]) == reached


def test_what_is_skipped_among_equals_has_its_reason_and_the_choice_is_the_contacts() -> None:
    senders, reply = (
        pool(NEW_YORK, sender("+13125550004"), SAN_FRANCISCO),
        request("+4915112345678", "DE", texted="+19995550000"),
    )
    by_hash = select(senders, reply)
    assert by_hash.sender is not None
    assert by_hash.per_recipient
    decision = select(senders, reply, NO_FACTS, SenderConditions(cordoned={by_hash.sender.sid: CORDONED}))
    assert str(decision.trail[0]) == f"{by_hash.address}: skipped: {CORDONED}"
    assert decision.per_recipient


@pytest.mark.parametrize("count", [3, 4, 5, 6])
def test_the_least_recently_used_is_chosen_among_four(count: int) -> None:
    equals = [sender(f"+1212555000{number}") for number in range(count)]
    senders, reply = pool(*equals), request(texted="+19995550000")
    ring: list[Sender] = []
    while len(ring) < count:
        cordoned = {each.sid: CORDONED for each in ring}
        next_one = select(senders, reply, NO_FACTS, SenderConditions(cordoned=cordoned)).sender
        assert next_one is not None
        ring.append(next_one)
    used = {each.sid: 100.0 - place for place, each in enumerate(ring)}
    decision = select(senders, reply, NO_FACTS, SenderConditions(used=used))
    assert decision.sender == ring[min(count, 4) - 1]
    last = decision.trail[-1]
    assert last.kind is SenderKind.LONG_CODE
    assert last.reason == "long code of US, the contact's country, the least recently used"


def test_a_named_sender_and_the_texted_number_serve_every_contact_of_a_kind_alike() -> None:
    senders = pool(US_CODE, NEW_YORK, SAN_FRANCISCO)
    assert not select(senders, request(preferred=NEW_YORK.address)).per_recipient
    assert not select(senders, request(texted=NEW_YORK.address, policy=SAME)).per_recipient
    assert select(
        senders, AMERICAN, RecipientFacts(frozenset({"12345"}), last_sender="+12125550003")
    ).per_recipient


def test_a_sender_that_was_never_used_comes_before_any_other() -> None:
    equals = (sender("+12125550001"), sender("+13125550002"))
    by_hash = select(pool(*equals), request(texted="+19995550000")).sender
    assert by_hash is not None
    used = SenderConditions(used={by_hash.sid: 0.5})
    assert select(pool(*equals), request(texted="+19995550000"), NO_FACTS, used).sender != by_hash


@pytest.mark.parametrize("texted", ["whatsapp:+14155550001", "messenger:1234", "rcs:shop_agent"])
def test_another_channel_is_answered_on_itself(texted: str) -> None:
    decision = select(pool(US_CODE), request(texted=texted))
    assert (decision.sender, decision.address) == (None, texted)
    assert [str(line) for line in decision.trail] == [
        f"{texted}: chosen: the channel of the incoming message"
    ]


@pytest.mark.parametrize(
    ("senders", "reply", "facts", "conditions", "lines"),
    [
        pytest.param(
            [NAME],
            BRITON._replace(preferred_sender="ACME", texted="ACME"),
            NO_FACTS,
            NO_CONDITIONS,
            [f"ACME: skipped: {ONE_WAY_ONLY}"],
            id="two-way",
        ),
        pytest.param(
            [sender("12345", None)],
            AMERICAN,
            NO_FACTS,
            NO_CONDITIONS,
            ["12345: skipped: a short code whose country is unknown"],
            id="unknown-country",
        ),
        pytest.param(
            [US_CODE],
            AMERICAN,
            RecipientFacts(opted_out=True),
            NO_CONDITIONS,
            ["12345: skipped: the contact has opted out"],
            id="opted-out",
        ),
        pytest.param(
            [US_CODE],
            CANADIAN,
            NO_FACTS,
            SenderConditions(over_rate={US_CODE.sid: SLOW}),
            ["12345: skipped: a short code of US does not reach CA"],
            id="none-over-its-rate",
        ),
    ],
)
def test_nothing_is_chosen_and_the_trail_has_the_reasons(
    senders: list[Sender],
    reply: SelectionRequest,
    facts: RecipientFacts,
    conditions: SenderConditions,
    lines: list[str],
) -> None:
    decision = select(pool(*senders), reply, facts, conditions)
    assert decision.address is None
    assert [str(line) for line in decision.trail] == lines
    known = {each.address: each.kind for each in senders}
    assert facts.opted_out or [line.kind for line in decision.trail] == [
        known[line.address] for line in decision.trail
    ]


def test_the_trail_of_a_selection_has_at_most_24_skipped_senders() -> None:
    senders = [sender(f"+1212555{number:04d}") for number in range(30)]
    cordoned = SenderConditions(cordoned={each.sid: CORDONED for each in senders})
    assert len(select(pool(*senders), request(texted="ACME"), NO_FACTS, cordoned).trail) == 25
