"""A router whose wall clock is set while it runs, as by NTP or an operator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end import adjustable_clock
from tests.end_to_end.adjustable_clock import AdjustableClock
from tests.end_to_end.router_process import RouterProcess, webhook, write_configuration
from tests.store.private_valkey import PrivateValkey

HOUR, DAY = 3600, 86_400
EMPTY_RESPONSE = "<Response/>"


@pytest.fixture
def clock(tmp_path: Path) -> AdjustableClock:
    return AdjustableClock(tmp_path / "clock")


@pytest.fixture
def router(tmp_path: Path, valkey: PrivateValkey, clock: AdjustableClock) -> Iterator[RouterProcess]:
    """A router that follows the clock."""
    folder = write_configuration(tmp_path / "config")
    router = RouterProcess(folder, valkey.url, clock.environment, module=adjustable_clock.__name__)
    yield router.start()
    router.kill()


async def test_stop_and_start_take_effect_and_readyz_warns_when_the_wall_clock_is_wrong(
    router: RouterProcess, clock: AdjustableClock
) -> None:
    async def answer_to(body: str) -> str:
        return (await router.deliver(webhook(body))).text

    async def is_warned_of() -> bool:
        return "this machine's clock is" in (await router.fetch("/readyz")).text

    for offset in (-HOUR, HOUR, DAY, 0):
        assert "unsubscribed" in await answer_to("STOP")
        clock.set_offset(offset)
        assert EMPTY_RESPONSE in await answer_to("HOURS")
        assert await is_warned_of() is bool(offset)
        assert "again" in await answer_to("START")
        assert "9 to 5" in await answer_to("HOURS")
