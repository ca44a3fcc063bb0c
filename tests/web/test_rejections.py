"""What is said of refused webhooks to whoever asks how a worker is."""

from __future__ import annotations

from sms_router.web.rejections import FORGET_AFTER, RejectionLog


def test_the_latest_refusals_are_told_until_it_has_been_quiet_for_a_while() -> None:
    now = [5000.0]
    refusals = RejectionLog(lambda: now[0])
    assert refusals.notices() == []
    refusals.count("wrong media type")
    now[0] += 7
    assert refusals.notices() == [
        "1 webhook was refused by this worker in the last 7 s, the latest 7 s ago: wrong media type"
    ]
    refusals.record_reason("bad signature", "another token")
    refusals.count("bad signature")
    now[0] += 293
    assert refusals.notices() == [
        "2 webhooks were refused by this worker in the last 5 min, the latest 5 min ago: another token"
    ]
    now[0] += FORGET_AFTER - 293
    assert refusals.notices()
    now[0] += 0.1
    assert refusals.notices() == []
    refusals.count("too large")
    (notice,) = refusals.notices()
    assert notice.startswith("1 webhook was refused by this worker in the last 0 s")
