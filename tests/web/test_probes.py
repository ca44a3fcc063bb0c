"""The cost of public pages."""

from __future__ import annotations

import time

import pytest
from starlette.responses import Response

from sms_router.web.probes import RateLimitedPage


def test_a_page_is_built_until_its_share_of_the_second_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    built: list[Response] = []

    def build() -> Response:
        now[0] += 0.03
        built.append(Response())
        return built[-1]

    page = RateLimitedPage(build)
    pages = [page.get() for _ in range(4)]
    assert pages == [*built, built[1], built[1]]
    now[0] = 101.0
    assert page.get() is built[2]
