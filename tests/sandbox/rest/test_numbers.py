import pytest
from twilio.base.exceptions import TwilioRestException

from tests.sandbox.sandbox_fixture import (
    NEW_YORK,
    SAN_FRANCISCO,
    SERVICE,
    SHORT_CODE,
    SHORT_CODE_SID,
    TORONTO,
    SandboxFixture,
)

NEW_YORK_SID = "PN00000000000000000000000000000002"


async def test_a_short_code_has_its_own_webhook(sandbox: SandboxFixture) -> None:
    (short_code,) = await sandbox.call(lambda c: c.api.v2010.account.short_codes.list())
    assert (short_code.sid, short_code.short_code) == (SHORT_CODE_SID, SHORT_CODE)
    assert short_code.friendly_name == "Demo short code"
    assert short_code.sms_url is None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"short_code": "12345"}, 1),
        ({"short_code": "234"}, 1),
        ({"short_code": "12*45"}, 1),
        ({"short_code": "1*345*"}, 0),
        ({"short_code": "999"}, 0),
        ({"friendly_name": "Demo short code"}, 1),
        ({"friendly_name": "Demo"}, 0),
    ],
)
async def test_short_codes_are_filtered(
    sandbox: SandboxFixture, filters: dict[str, str], expected: int
) -> None:
    assert len(await sandbox.call(lambda c: c.api.v2010.account.short_codes.list(**filters))) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"phone_number": "+1415"}, [SAN_FRANCISCO]),
        ({"phone_number": "+1***5550100", "friendly_name": "New York"}, [NEW_YORK]),
        ({"phone_number": "+164*"}, [TORONTO]),
        ({"phone_number": "+44"}, []),
        ({"origin": "hosted"}, []),
        ({"beta": True}, []),
    ],
)
async def test_phone_numbers_are_filtered(
    sandbox: SandboxFixture, filters: dict[str, object], expected: list[str]
) -> None:
    numbers = await sandbox.call(lambda c: c.api.v2010.account.incoming_phone_numbers.list(**filters))
    assert [number.phone_number for number in numbers] == expected


async def test_a_phone_number_has_capabilities(sandbox: SandboxFixture) -> None:
    number = await sandbox.call(lambda c: c.api.v2010.account.incoming_phone_numbers(NEW_YORK_SID).fetch())
    assert number.capabilities == {"voice": True, "sms": True, "mms": True, "fax": False}
    assert number.sms_url == "http://127.0.0.1:8001/new-york"


async def test_a_numbers_own_webhook_is_updated(sandbox: SandboxFixture) -> None:
    updated = await sandbox.call(
        lambda c: c.api.v2010.account.incoming_phone_numbers(NEW_YORK_SID).update(
            sms_url="https://example.com/a", sms_method="GET", sms_fallback_url="https://example.com/b"
        )
    )
    assert (updated.sms_url, updated.sms_method) == ("https://example.com/a", "GET")
    short_code = await sandbox.call(
        lambda c: c.api.v2010.account.short_codes(SHORT_CODE_SID).update(friendly_name="Renamed")
    )
    assert short_code.friendly_name == "Renamed"


async def test_a_fallback_url_requires_a_primary_url(sandbox: SandboxFixture) -> None:
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(
            lambda c: c.api.v2010.account.short_codes(SHORT_CODE_SID).update(
                sms_fallback_url="https://example.com/b"
            )
        )
    assert rejected.value.code == 21406


async def test_unsupported_parameters_are_rejected(sandbox: SandboxFixture) -> None:
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(
            lambda c: c.api.v2010.account.incoming_phone_numbers(NEW_YORK_SID).update(
                trunk_sid="TK" + "1" * 32
            )
        )
    assert "TrunkSid is not supported by the sandbox" in rejected.value.msg


async def test_a_number_is_bought_and_released(sandbox: SandboxFixture) -> None:
    bought = await sandbox.call(
        lambda c: c.incoming_phone_numbers.create(area_code="312", sms_url="https://example.com/a")
    )
    assert (bought.phone_number, bought.sms_url) == ("+13125550100", "https://example.com/a")
    second = await sandbox.call(lambda c: c.incoming_phone_numbers.create(area_code="312"))
    assert second.phone_number == "+13125550101"
    await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).phone_numbers.create(bought.sid))
    assert await sandbox.call(lambda c: c.incoming_phone_numbers(bought.sid).delete())
    pool = await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).phone_numbers.list())
    assert bought.sid not in [number.sid for number in pool]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, 20001),
        ({"phone_number": SAN_FRANCISCO}, 21422),
        ({"phone_number": "12345"}, 21422),
        ({"area_code": "12"}, 20001),
        ({"area_code": "312", "sms_fallback_url": "https://example.com/b"}, 21406),
        ({"area_code": "312", "trunk_sid": "TK" + "0" * 32}, 20001),
    ],
)
async def test_a_number_that_cannot_be_bought_is_rejected(
    sandbox: SandboxFixture, parameters: dict[str, str], code: int
) -> None:
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.incoming_phone_numbers.create(**parameters))
    assert rejected.value.code == code


async def test_an_unknown_number_is_not_found(sandbox: SandboxFixture) -> None:
    with pytest.raises(TwilioRestException) as rejected:
        await sandbox.call(lambda c: c.api.v2010.account.incoming_phone_numbers(SHORT_CODE_SID).fetch())
    assert (rejected.value.status, rejected.value.code) == (404, 20404)
