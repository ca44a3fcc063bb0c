"""15 replies between two numbers in 30 s (14107)."""

from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.state.reply_limiter import ReplyRate
from tests.sandbox.bench import NEW_YORK, PRAIRIE_PHONE, SAN_FRANCISCO, Bench


async def test_the_sixteenth_reply_fails_and_so_do_all_for_thirty_seconds(bench: Bench) -> None:
    bench.customer.says("/sms", "<Message>1</Message>" * 8)
    assert len((await bench.text("a", SAN_FRANCISCO))["messages"]) == 8
    bench.clock.advance(10)
    assert len((await bench.text("b", SAN_FRANCISCO))["messages"]) == 7
    assert await bench.alert_codes() == [14107]
    bench.clock.advance(29)
    assert (await bench.text("c", SAN_FRANCISCO))["messages"] == []
    bench.clock.advance(1)
    assert len((await bench.text("d", SAN_FRANCISCO))["messages"]) == 8


async def test_other_pairs_are_counted_by_themselves(bench: Bench) -> None:
    bench.customer.says("/sms", "<Message>1</Message>" * 10)
    for sender, to in (
        ("+14155550123", SAN_FRANCISCO),
        (PRAIRIE_PHONE, SAN_FRANCISCO),
        (PRAIRIE_PHONE, NEW_YORK),
    ):
        assert len((await bench.text("a", to, sender=sender))["messages"]) == 10
    assert await bench.alert_codes() == []


def test_a_steady_pace_of_fifteen_in_thirty_seconds_is_allowed() -> None:
    clock = ManualClock()
    rate = ReplyRate(clock)
    for _ in range(100):
        assert rate.allows("12345", PRAIRIE_PHONE)
        clock.advance(2)
