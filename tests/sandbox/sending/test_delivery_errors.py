"""Why messages are not delivered: carriers and the state of phones (facts 7.1)."""

from typing import Any

import pytest

from sms_router.sandbox.world.world import Carrier, Phone, PhoneState
from tests.sandbox.sandbox_fixture import (
    PHONE,
    SAN_FRANCISCO,
    SERVICE,
    SHORT_CODE,
    TOLL_FREE,
    SandboxFixture,
    run_sandbox,
)

IMAGE = "https://example.com/menu.png"
THEIRS = "+13125550101"


async def _sent(sandbox: SandboxFixture, **parameters: Any) -> tuple[str, int | None]:
    """Send to the phone of the test; return the last status and error."""
    parameters = {"to": THEIRS, "from_": SAN_FRANCISCO, "body": "Hi there", **parameters}
    created = await sandbox.call(lambda c: c.messages.create(**parameters))
    await sandbox.wait_until_idle()
    fetched = await sandbox.call(lambda c: c.messages(created.sid).fetch())
    return fetched.status, fetched.error_code


@pytest.mark.parametrize(
    ("carrier", "state", "parameters", "ending"),
    [
        (Carrier(name="x"), PhoneState.ON, {}, ("delivered", None)),
        (Carrier(name="x"), PhoneState.OFF, {}, ("undelivered", 30003)),
        (Carrier(name="x"), PhoneState.UNKNOWN, {}, ("undelivered", 30005)),
        (Carrier(name="x"), PhoneState.LANDLINE, {}, ("undelivered", 30006)),
        (Carrier(name="x", filters=("casino",)), PhoneState.ON, {"body": "CASINO!"}, ("undelivered", 30007)),
        (Carrier(name="x", filters=("casino",)), PhoneState.ON, {"body": "casinos"}, ("delivered", None)),
        (Carrier(name="x", drops={30008: 1.0}), PhoneState.ON, {}, ("undelivered", 30008)),
        (Carrier(name="x", drops={30008: 0.0}), PhoneState.ON, {}, ("delivered", None)),
        (
            Carrier(name="x", reaches_short_codes=False, short_code_error=30003),
            PhoneState.ON,
            {"from_": SHORT_CODE},
            ("undelivered", 30003),
        ),
    ],
)
async def test_a_messages_end_depends_on_its_carrier_and_phone(
    carrier: Carrier, state: PhoneState, parameters: dict[str, str], ending: tuple[str, int | None]
) -> None:
    async with run_sandbox(phones={THEIRS: Phone(THEIRS, carrier, state)}) as sandbox:
        assert await _sent(sandbox, **parameters) == ending


async def test_a_share_of_the_messages_is_dropped_the_same_ones_in_each_run() -> None:
    carrier = Carrier(name="x", drops={30003: 0.25, 30008: 0.25})

    async def endings() -> list[int | None]:
        async with run_sandbox(phones={THEIRS: Phone(THEIRS, carrier)}) as sandbox:
            return [(await _sent(sandbox))[1] for _ in range(24)]

    first = await endings()
    assert first == await endings()
    assert {*first} == {None, 30003, 30008}
    assert 6 <= first.count(None) <= 18


async def test_a_service_replaces_pictures_by_a_link_where_the_carrier_has_no_mms() -> None:
    async with run_sandbox(phones={THEIRS: Phone(THEIRS, Carrier(name="x", mms=False))}) as sandbox:
        through_service: dict[str, Any] = {"messaging_service_sid": SERVICE, "from_": None}
        assert await _sent(sandbox, media_url=[IMAGE], **through_service) == ("delivered", None)
        (message,) = (await sandbox.phone(THEIRS))["messages"]
        assert message["body"].startswith("Hi there https://p.twil.io/")
        assert message["media"] == []
        await sandbox.call(lambda c: c.messaging.v1.services(SERVICE).update(mms_converter=False))
        assert await _sent(sandbox, media_url=[IMAGE], **through_service) == ("undelivered", 30011)


async def test_a_phone_is_switched_off_and_on_and_changes_its_carrier(sandbox: SandboxFixture) -> None:
    changed = await sandbox.post(f"/sandbox/phones/{PHONE}", {"state": "off", "carrier": "prairie"}, 200)
    assert changed == {"number": PHONE, "carrier": "prairie", "state": "off"}
    assert await _sent(sandbox, to=PHONE, from_=TOLL_FREE) == ("undelivered", 30003)
    assert await _sent(sandbox, to=PHONE, from_=SHORT_CODE) == ("undelivered", 30006)
    answer = await sandbox.post(f"/sandbox/phones/{PHONE}/messages", {"to": SHORT_CODE, "body": "x"}, 409)
    assert answer["error"] == f"{PHONE} is off; such a phone sends nothing."
    await sandbox.post(f"/sandbox/phones/{PHONE}", {"state": "on"}, 200)
    assert await _sent(sandbox, to=PHONE, from_=TOLL_FREE) == ("delivered", None)
    assert {"number": PHONE, "carrier": "prairie", "state": "on"} in (await sandbox.get("/sandbox/phones"))[
        "phones"
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"state": "broken"}, "state: must be 'on', 'off', 'unknown' or 'landline'"),
        ({"carrier": "nobody"}, "carrier: there is no carrier 'nobody'; known: metro, prairie, harbour"),
        ({"battery": 0}, "battery: unknown key; known ones are carrier, state"),
    ],
)
async def test_an_invalid_change_of_a_phone_is_rejected(
    sandbox: SandboxFixture, change: object, sentence: str
) -> None:
    answer = await sandbox.post(f"/sandbox/phones/{PHONE}", change, 400)
    assert sentence in answer["error"]
