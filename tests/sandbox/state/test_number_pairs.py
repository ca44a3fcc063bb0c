"""15 replies between two numbers until there is a quiet gap of 30 s (14107)."""

from sms_router.sandbox.clock import ManualClock
from sms_router.sandbox.state.number_pairs import ReplyLimiter
from tests.sandbox.sandbox_fixture import NEW_YORK, PRAIRIE_PHONE, SAN_FRANCISCO, SandboxFixture


async def test_the_sixteenth_reply_and_all_for_thirty_seconds_after_it_fail(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml("/sms", "<Message>1</Message>" * 8)
    assert len((await sandbox.text("a", SAN_FRANCISCO))["messages"]) == 8
    sandbox.clock.advance(10)
    assert len((await sandbox.text("b", SAN_FRANCISCO))["messages"]) == 7
    assert await sandbox.alert_codes() == [14107]
    sandbox.clock.advance(29)
    assert (await sandbox.text("c", SAN_FRANCISCO))["messages"] == []
    sandbox.clock.advance(30)
    assert len((await sandbox.text("d", SAN_FRANCISCO))["messages"]) == 8


async def test_each_pair_is_counted_separately(sandbox: SandboxFixture) -> None:
    sandbox.customer.set_twiml("/sms", "<Message>1</Message>" * 10)
    for sender, to in (
        ("+14155550123", SAN_FRANCISCO),
        (PRAIRIE_PHONE, SAN_FRANCISCO),
        (PRAIRIE_PHONE, NEW_YORK),
    ):
        assert len((await sandbox.text("a", to, sender=sender))["messages"]) == 10
    assert await sandbox.alert_codes() == []


def test_a_slow_loop_is_stopped_until_it_pauses() -> None:
    clock = ManualClock()
    limiter = ReplyLimiter(clock)
    results = []
    for seconds in (*[29] * 20, 30, 1):
        clock.advance(seconds)
        results.append(limiter.allow("12345", PRAIRIE_PHONE))
    assert results == [*[True] * 15, *[False] * 5, True, True]
