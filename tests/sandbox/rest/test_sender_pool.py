from collections.abc import Callable

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from sms_router.sandbox.state.account import PoolMember
from sms_router.sandbox.world.numbers import Capabilities, Number
from tests.sandbox.sandbox_fixture import SAN_FRANCISCO, SERVICE, SHORT_CODE, SHORT_CODE_SID, SandboxFixture

Call = Callable[[Client], object]
UNKNOWN = "PN" + "f" * 32


async def test_the_pool_shows_kinds_countries_and_capabilities(sandbox: SandboxFixture) -> None:
    (short_code,) = await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).short_codes.list())
    assert (short_code.short_code, short_code.country_code) == (SHORT_CODE, "US")
    assert short_code.capabilities == ["SMS", "MMS"]
    numbers = await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).phone_numbers.list())
    assert [(number.phone_number, number.country_code) for number in numbers] == [
        ("+14155550100", "US"),
        ("+12125550100", "US"),
        ("+18885550100", "US"),
        ("+16475550100", "CA"),
    ]
    assert numbers[3].capabilities == ["Voice", "SMS"]
    assert await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).alpha_senders.list()) == []


async def test_a_short_code_is_removed_from_the_pool_and_added_again(sandbox: SandboxFixture) -> None:
    assert await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).short_codes(SHORT_CODE_SID).delete())
    assert await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).short_codes.list()) == []
    number = await sandbox.call(lambda c: c.api.v2010.account.short_codes(SHORT_CODE_SID).fetch())
    assert number.short_code == SHORT_CODE
    sandbox.clock.advance(5)
    added = await sandbox.call(
        lambda c: c.messaging.v1.services(SERVICE).short_codes.create(short_code_sid=SHORT_CODE_SID)
    )
    assert added.date_created == sandbox.clock.now()
    fetched = await sandbox.call(
        lambda c: c.messaging.v1.services(SERVICE).short_codes(SHORT_CODE_SID).fetch()
    )
    assert fetched.sid == SHORT_CODE_SID


async def test_a_phone_number_is_removed_from_the_pool_and_added_again(sandbox: SandboxFixture) -> None:
    sid = "PN00000000000000000000000000000001"
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).phone_numbers(sid).delete())
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).phone_numbers.create(phone_number_sid=sid))
    number = await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).phone_numbers(sid).fetch())
    assert number.phone_number == SAN_FRANCISCO


async def test_an_alphanumeric_sender_is_added_listed_and_removed(sandbox: SandboxFixture) -> None:
    added = await sandbox.call(
        lambda c: c.messaging.v1.services(SERVICE).alpha_senders.create(alpha_sender="My Shop")
    )
    (listed,) = await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).alpha_senders.list())
    assert (listed.sid, listed.alpha_sender, listed.capabilities) == (added.sid, "My Shop", ["SMS"])
    fetched = await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).alpha_senders(added.sid).fetch())
    assert fetched.alpha_sender == "My Shop"
    assert await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).alpha_senders(added.sid).delete())
    assert await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).alpha_senders.list()) == []


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
async def test_a_sender_that_cannot_join_is_rejected_with_twilios_code(
    sandbox: SandboxFixture, call: Call, status: int, code: int
) -> None:
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(call)
    assert (rejected.value.status, rejected.value.code) == (status, code)


async def test_a_number_without_messaging_cannot_join(sandbox: SandboxFixture) -> None:
    number = Number("PN" + "e" * 32, "+13125550100", "US", Capabilities(sms=False, voice=True), "Voice")
    sandbox.platform.account.save_number(number)
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).phone_numbers.create(number.sid))
    assert rejected.value.code == 21715


async def test_a_pool_has_at_most_400_numbers_besides_alphanumeric_senders(sandbox: SandboxFixture) -> None:
    account = sandbox.platform.account
    for index in range(400 - len(sandbox.world.services[0].senders)):
        account.add_member(SERVICE, PoolMember(f"PN{1000 + index:032x}"))
    one_more = "PN" + "e" * 32
    account.save_number(Number(one_more, "+13125550100", "US", Capabilities(), "One more"))
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).phone_numbers.create(one_more))
    assert rejected.value.code == 21714
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).alpha_senders.create("A name"))
