from collections.abc import Callable

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from sms_router.sandbox.state.account import Member
from sms_router.sandbox.world.numbers import Capabilities, Number
from tests.sandbox.bench import SAN_FRANCISCO, SERVICE, SHORT_CODE, SHORT_CODE_SID, Bench

Call = Callable[[Client], object]
UNKNOWN = "PN" + "f" * 32


async def test_the_pool_shows_kinds_countries_and_capabilities(bench: Bench) -> None:
    (short_code,) = await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).short_codes.list())
    assert (short_code.short_code, short_code.country_code) == (SHORT_CODE, "US")
    assert short_code.capabilities == ["SMS", "MMS"]
    numbers = await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).phone_numbers.list())
    assert [(number.phone_number, number.country_code) for number in numbers] == [
        ("+14155550100", "US"),
        ("+12125550100", "US"),
        ("+18885550100", "US"),
        ("+16475550100", "CA"),
    ]
    assert numbers[3].capabilities == ["Voice", "SMS"]
    assert await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).alpha_senders.list()) == []


async def test_a_short_code_leaves_the_pool_and_comes_back(bench: Bench) -> None:
    assert await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).short_codes(SHORT_CODE_SID).delete())
    assert await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).short_codes.list()) == []
    kept = await bench.twilio(lambda c: c.api.v2010.account.short_codes(SHORT_CODE_SID).fetch())
    assert kept.short_code == SHORT_CODE
    bench.clock.advance(5)
    added = await bench.twilio(
        lambda c: c.messaging.v1.services(SERVICE).short_codes.create(short_code_sid=SHORT_CODE_SID)
    )
    assert added.date_created == bench.clock.now()
    again = await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).short_codes(SHORT_CODE_SID).fetch())
    assert again.sid == SHORT_CODE_SID


async def test_a_phone_number_leaves_the_pool_and_comes_back(bench: Bench) -> None:
    sid = "PN00000000000000000000000000000001"
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).phone_numbers(sid).delete())
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).phone_numbers.create(phone_number_sid=sid))
    number = await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).phone_numbers(sid).fetch())
    assert number.phone_number == SAN_FRANCISCO


async def test_an_alphanumeric_sender_is_added_listed_and_removed(bench: Bench) -> None:
    added = await bench.twilio(
        lambda c: c.messaging.v1.services(SERVICE).alpha_senders.create(alpha_sender="My Shop")
    )
    (listed,) = await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).alpha_senders.list())
    assert (listed.sid, listed.alpha_sender, listed.capabilities) == (added.sid, "My Shop", ["SMS"])
    fetched = await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).alpha_senders(added.sid).fetch())
    assert fetched.alpha_sender == "My Shop"
    assert await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).alpha_senders(added.sid).delete())
    assert await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).alpha_senders.list()) == []


def _in_another_service(client: Client) -> object:
    other = client.messaging.v1.services.create(friendly_name="Other")
    return client.messaging.v1.services(other.sid).short_codes.create(short_code_sid=SHORT_CODE_SID)


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        (lambda c: c.messaging.v1.services("MG" + "f" * 32).short_codes.create(SHORT_CODE_SID), 404, 21701),
        (lambda c: c.messaging.v1.services(SERVICE).short_codes.create(SHORT_CODE_SID), 409, 21710),
        (_in_another_service, 409, 21712),
        (lambda c: c.messaging.v1.services(SERVICE).phone_numbers.create(UNKNOWN), 404, 20404),
        (lambda c: c.messaging.v1.services(SERVICE).phone_numbers.create(SHORT_CODE_SID), 404, 20404),
        (lambda c: c.messaging.v1.services(SERVICE).phone_numbers(SHORT_CODE_SID).fetch(), 404, 20404),
        (lambda c: c.messaging.v1.services(SERVICE).short_codes("SC" + "f" * 32).delete(), 404, 20404),
        (lambda c: c.messaging.v1.services(SERVICE).alpha_senders.create("123456"), 400, 21709),
        (lambda c: c.messaging.v1.services(SERVICE).alpha_senders.create("TwelveLetters"), 400, 21709),
        (lambda c: c.messaging.v1.services(SERVICE).short_codes.create(""), 400, 20001),
    ],
)
async def test_what_cannot_join_is_refused_with_twilios_code(
    bench: Bench, call: Call, status: int, code: int
) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(call)
    assert (refused.value.status, refused.value.code) == (status, code)


async def test_a_number_without_messaging_cannot_join(bench: Bench) -> None:
    number = Number("PN" + "e" * 32, "+13125550100", "US", Capabilities(sms=False, voice=True), "Voice")
    bench.platform.account.save_number(number)
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).phone_numbers.create(number.sid))
    assert refused.value.code == 21715


async def test_a_pool_is_full_at_400_numbers_whatever_names_it_has(bench: Bench) -> None:
    account = bench.platform.account
    for index in range(400 - len(bench.world.services[0].senders)):
        account.join(SERVICE, Member(f"PN{1000 + index:032x}"))
    one_more = "PN" + "e" * 32
    account.save_number(Number(one_more, "+13125550100", "US", Capabilities(), "One more"))
    with pytest.raises(TwilioRestException) as refused:
        await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).phone_numbers.create(one_more))
    assert refused.value.code == 21714
    await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).alpha_senders.create("A name"))
