"""The notice about refused webhooks."""

from __future__ import annotations

from sms_router.web.rejections import RejectionLog


def test_the_notice_ends_ten_minutes_after_the_latest_rejection() -> None:
    now = [5000.0]
    rejections = RejectionLog(lambda: now[0])
    assert rejections.notices() == []
    rejections.count("wrong media type")
    now[0] += 7
    assert rejections.notices() == [
        "1 webhook was refused by this worker in the last 7 s, the latest 7 s ago: wrong media type"
    ]
    rejections.record_reason("bad signature", "another token")
    rejections.count("bad signature")
    now[0] += 293
    assert rejections.notices() == [
        "2 webhooks were refused by this worker in the last 5 min, the latest 5 min ago: another token"
    ]
    now[0] += 600 - 293
    assert rejections.notices()
    now[0] += 0.1
    assert rejections.notices() == []
    rejections.count("too large")
    (notice,) = rejections.notices()
    assert notice.startswith("1 webhook was refused by this worker in the last 0 s")
