"""Why messages do not arrive: carriers and the state of phones (facts 7.1)."""

from typing import Any

import pytest

from sms_router.sandbox.world.world import Carrier, Phone, PhoneState
from tests.sandbox.bench import PHONE, SAN_FRANCISCO, SERVICE, SHORT_CODE, TOLL_FREE, Bench, running

IMAGE = "https://example.com/menu.png"
THEIRS = "+13125550101"


async def _sent(bench: Bench, **parameters: Any) -> tuple[str, int | None]:
    """Send to the phone of the test; return the last status and error."""
    parameters = {"to": THEIRS, "from_": SAN_FRANCISCO, "body": "Hi there", **parameters}
    created = await bench.twilio(lambda c: c.messages.create(**parameters))
    await bench.settle()
    fetched = await bench.twilio(lambda c: c.messages(created.sid).fetch())
    return fetched.status, fetched.error_code


@pytest.mark.parametrize(
    ("carrier", "state", "parameters", "ending"),
    [
        (Carrier("x"), PhoneState.ON, {}, ("delivered", None)),
        (Carrier("x"), PhoneState.OFF, {}, ("undelivered", 30003)),
        (Carrier("x"), PhoneState.UNKNOWN, {}, ("undelivered", 30005)),
        (Carrier("x"), PhoneState.LANDLINE, {}, ("undelivered", 30006)),
        (Carrier("x", filters=("casino",)), PhoneState.ON, {"body": "CASINO!"}, ("undelivered", 30007)),
        (Carrier("x", filters=("casino",)), PhoneState.ON, {"body": "casinos"}, ("delivered", None)),
        (Carrier("x", drops={30008: 1.0}), PhoneState.ON, {}, ("undelivered", 30008)),
        (Carrier("x", drops={30008: 0.0}), PhoneState.ON, {}, ("delivered", None)),
        (
            Carrier("x", reaches_short_codes=False, short_code_error=30003),
            PhoneState.ON,
            {"from_": SHORT_CODE},
            ("undelivered", 30003),
        ),
    ],
)
async def test_a_message_ends_as_its_carrier_and_phone_want(
    carrier: Carrier, state: PhoneState, parameters: dict[str, str], ending: tuple[str, int | None]
) -> None:
    async with running(phones={THEIRS: Phone(THEIRS, carrier, state)}) as bench:
        assert await _sent(bench, **parameters) == ending


async def test_a_share_of_the_messages_is_dropped_each_run_the_same_ones() -> None:
    carrier = Carrier("x", drops={30003: 0.25, 30008: 0.25})

    async def endings() -> list[int | None]:
        async with running(phones={THEIRS: Phone(THEIRS, carrier)}) as bench:
            return [(await _sent(bench))[1] for _ in range(24)]

    first = await endings()
    assert first == await endings()
    assert {*first} == {None, 30003, 30008}
    assert 6 <= first.count(None) <= 18


async def test_a_service_turns_pictures_into_a_link_where_the_carrier_has_none() -> None:
    async with running(phones={THEIRS: Phone(THEIRS, Carrier("x", mms=False))}) as bench:
        through_service: dict[str, Any] = {"messaging_service_sid": SERVICE, "from_": None}
        assert await _sent(bench, media_url=[IMAGE], **through_service) == ("delivered", None)
        (message,) = (await bench.phone(THEIRS))["messages"]
        assert message["body"].startswith("Hi there https://p.twil.io/")
        assert message["media"] == []
        await bench.twilio(lambda c: c.messaging.v1.services(SERVICE).update(mms_converter=False))
        assert await _sent(bench, media_url=[IMAGE], **through_service) == ("undelivered", 30011)


async def test_a_phone_is_switched_off_and_on_and_changes_its_carrier(bench: Bench) -> None:
    changed = await bench.post(f"/sandbox/phones/{PHONE}", {"state": "off", "carrier": "prairie"}, 200)
    assert changed == {"number": PHONE, "carrier": "prairie", "state": "off"}
    assert await _sent(bench, to=PHONE, from_=TOLL_FREE) == ("undelivered", 30003)
    assert await _sent(bench, to=PHONE, from_=SHORT_CODE) == ("undelivered", 30006)
    answer = await bench.post(f"/sandbox/phones/{PHONE}/messages", {"to": SHORT_CODE, "body": "x"}, 409)
    assert answer["error"] == f"{PHONE} is off; such a phone texts nobody."
    await bench.post(f"/sandbox/phones/{PHONE}", {"state": "on"}, 200)
    assert await _sent(bench, to=PHONE, from_=TOLL_FREE) == ("delivered", None)
    assert {"number": PHONE, "carrier": "prairie", "state": "on"} in (await bench.get("/sandbox/phones"))[
        "phones"
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"state": "broken"}, "'state' is 'broken'; known: on, off, unknown, landline."),
        ({"carrier": "nobody"}, "There is no carrier 'nobody'; known: metro, prairie, harbour"),
        ({"battery": 0}, "unknown key 'battery'"),
    ],
)
async def test_a_phone_that_cannot_be_is_refused(bench: Bench, change: object, sentence: str) -> None:
    answer = await bench.post(f"/sandbox/phones/{PHONE}", change, 400)
    assert sentence in answer["error"]
